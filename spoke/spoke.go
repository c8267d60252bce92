package spoke

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/pubsub"
)

// What Run, Ready and the calls of a spoke that has stopped fail with.
var (
	// ErrStopped says that the spoke has stopped or is about to.
	ErrStopped = errors.New("spoke: stopped")
	// ErrRunning says that Run has been called before.
	ErrRunning = errors.New("spoke: Run may be called once")
)

// Spoke is a worker's side. It is a [call.Caller]. All methods may be called
// concurrently. Make one with [New], start it with [Spoke.Run].
type Spoke struct {
	// Fixed by New.
	opts       Options
	log        zerolog.Logger
	instanceID string
	quit       context.Context // ends when Shutdown wants Run to end
	sayQuit    context.CancelFunc
	reading    context.Context // ends, with a cause, when streams have had their time to end in a drain
	endReading context.CancelCauseFunc

	intercepted call.Caller // with Options.Interceptors; nil without

	operations call.Registry
	events     events
	state      stateBox
	counters   peer.Counters
	connects   atomic.Uint64
	resumed    atomic.Uint64
	attempts   atomic.Int64
	limits     atomic.Pointer[limits] // of the last registration; nil before it
	held       *link                  // the session that the loop holds; Run's goroutine's
	last       atomic.Pointer[error]  // how the last dial or connection ended
	ended      atomic.Pointer[error]  // what Run returned
	leftover   atomic.Int64           // how many of handlers there are
	handlers   sync.WaitGroup         // those of sessions that have ended; Run joins them

	mu        sync.Mutex // guards the fields below
	running   bool
	stopping  bool
	id        string           // returned by ID
	link      *link            // the session that is registered, nil between
	changed   chan struct{}    // closed when link or stopping changes
	taken     []call.Operation // what a hub has taken last
	refusedAt <-chan struct{}  // the Changed of a set of operations that the hub refused on a live connection
	done      chan struct{}    // closed when Run has returned
}

// New makes a spoke for the hub at the URL (ws, wss, http or https). It does not
// dial. It fails with [ErrOptions].
func New(url string, o *Options) (*Spoke, error) {
	opts, err := o.withDefaults(url)
	if err != nil {
		return nil, err
	}
	opts.Labels = maps.Clone(opts.Labels)
	s := &Spoke{opts: opts, id: opts.ID, instanceID: uuid.NewString(), changed: make(chan struct{}),
		done: make(chan struct{})}
	if len(opts.Interceptors) > 0 {
		s.intercepted = call.Intercept(caller{s}, opts.Interceptors...)
	}
	s.quit, s.sayQuit = context.WithCancel(context.Background())
	s.reading, s.endReading = context.WithCancelCause(context.Background())
	s.log = opts.Logger.With().Str("instance", s.instanceID).Logger()
	if opts.OnState != nil {
		s.state.notify = s.notifyState
	}
	s.operations.Check(s.checkOperation)
	s.events.spoke = s
	return s, nil
}

// Operations holds the operations that the spoke serves. They may be added and
// removed while it is connected; the hub is told.
func (s *Spoke) Operations() *call.Registry { return &s.operations }

// Events is where the spoke publishes and subscribes. Both wait, within their
// context, while there is no connection. Subscriptions outlive connections: they are made
// again on the next one, and their listeners get a gap event. A refusal by the hub fails the
// subscription; that of an event is logged.
func (s *Spoke) Events() pubsub.EventTarget { return &s.events }

// ID is the id under which the spoke is registered, or was last; it is the one
// of the options, or empty, before the first registration.
func (s *Spoke) ID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

// Stats counts what a spoke has seen since it was made.
type Stats struct {
	State       string `json:"state"`
	Connections uint64 `json:"connections"` // registrations that succeeded
	Resumed     uint64 `json:"resumed"`     // of these, those that went on with a session
	Attempts    int64  `json:"attempts"`    // dials
	InFlight    int    `json:"inFlight"`    // calls that the hub answers now
	Serving     int    `json:"serving"`     // calls that are served now
	QueuedBytes int    `json:"queuedBytes"` // waiting for the hub to read

	Frames      uint64 `json:"frames"`      // received
	Calls       uint64 `json:"calls"`       // sent
	Served      uint64 `json:"served"`      // received and taken up
	Overloaded  uint64 `json:"overloaded"`  // received over maxInFlight
	Malformed   uint64 `json:"malformed"`   // payloads that the protocol does not know
	Unknown     uint64 `json:"unknown"`     // reserved types that the protocol does not know
	Late        uint64 `json:"late"`        // answers for no call in flight
	Duplicates  uint64 `json:"duplicates"`  // requests under an id in flight
	SlowStreams uint64 `json:"slowStreams"` // streams that ended with SLOW_CONSUMER
	Panics      uint64 `json:"panics"`      // handlers, listeners and Options.OnState that panicked
}

// Stats gives the counts of this moment.
func (s *Spoke) Stats() Stats {
	k := &s.counters
	out := Stats{State: s.State().String(), Connections: s.connects.Load(), Resumed: s.resumed.Load(), Attempts: s.attempts.Load(),
		Frames: k.Frames.Load(), Calls: k.Calls.Load(), Served: k.Served.Load(), Overloaded: k.Overloaded.Load(),
		Malformed: k.Malformed.Load(), Unknown: k.Unknown.Load(), Late: k.Late.Load(),
		Duplicates: k.Duplicates.Load(), SlowStreams: k.SlowStreams.Load(), Panics: k.Panics.Load()}
	s.mu.Lock()
	l := s.link
	s.mu.Unlock()
	if l != nil {
		out.InFlight, _ = l.peer.InFlight()
		out.Serving = l.peer.Serving()
		out.QueuedBytes = l.peer.Session().QueuedBytes()
	}
	return out
}

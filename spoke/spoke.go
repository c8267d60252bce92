package spoke

import (
	"context"
	"errors"
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
	opts          Options
	log           zerolog.Logger
	instanceID    string
	quit          context.Context // ends when Shutdown wants Run to end
	quitNow       context.CancelFunc
	streams       context.Context // ends, with a cause, when streams have had their time to end in a drain
	cancelStreams context.CancelCauseFunc

	intercepted call.Caller // with Options.Interceptors; nil without

	status   status
	offering offering
	events   events
	counters peer.Counters
	connects atomic.Uint64
	resumed  atomic.Uint64
	attempts atomic.Int64
	leftover atomic.Int64   // how many of handlers there are
	handlers sync.WaitGroup // those of sessions that have ended; Run joins them
	done     chan struct{}  // closed when Run has returned
}

// New makes a spoke for the hub at the URL (ws, wss, http or https), which is empty if [Options.Discover] is set. It
// does not dial. It fails with [ErrOptions].
func New(url string, o *Options) (*Spoke, error) {
	opts, err := o.withDefaults(url)
	if err != nil {
		return nil, err
	}
	s := &Spoke{opts: opts, instanceID: uuid.NewString(), done: make(chan struct{})}
	s.quit, s.quitNow = context.WithCancel(context.Background())
	s.streams, s.cancelStreams = context.WithCancelCause(context.Background())
	s.log = opts.Logger.With().Str("instance", s.instanceID).Logger()
	s.status.id = opts.ID
	if _, err := s.setLabels(opts.Labels); err != nil {
		return nil, err
	}
	s.events.spoke = s
	if len(opts.Interceptors) > 0 {
		s.intercepted = call.Intercept(caller{s}, opts.Interceptors...)
	}
	return s, nil
}

// Operations holds the operations that the spoke serves. They may be added and
// removed while it is connected; the hub is notified.
func (s *Spoke) Operations() *call.Registry { return &s.offering.operations }

// Events is where the spoke publishes and subscribes. Both wait, within their
// context, while there is no connection. Subscriptions outlive connections: they are made
// again on the next one, and their listeners get a gap event. A refusal by the hub is an [*call.Error] and
// fails the subscription: Listen returns it, or, if the hub does not take back or ends a subscription that was
// live, its listener is called with it as [pubsub.Event.End]. The refusal of an event is logged.
func (s *Spoke) Events() pubsub.EventTarget { return &s.events }

// ID is the id under which the spoke is registered, or was last; it is the one
// of the options, or empty, before the first registration.
func (s *Spoke) ID() string {
	s.status.mu.Lock()
	defer s.status.mu.Unlock()
	return s.status.id
}

// Stats counts what a spoke has seen since it was made.
type Stats struct {
	State       string `json:"state"`
	Connections uint64 `json:"connections"` // registrations that succeeded
	Resumed     uint64 `json:"resumed"`     // of these, those that resumed a session
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
	Panics      uint64 `json:"panics"`      // handlers, listeners and functions of the options that panicked
}

// Stats returns the current counts.
func (s *Spoke) Stats() Stats {
	k := &s.counters
	out := Stats{State: s.State().String(), Connections: s.connects.Load(), Resumed: s.resumed.Load(), Attempts: s.attempts.Load(),
		Frames: k.Frames.Load(), Calls: k.Calls.Load(), Served: k.Served.Load(), Overloaded: k.Overloaded.Load(),
		Malformed: k.Malformed.Load(), Unknown: k.Unknown.Load(), Late: k.Late.Load(),
		Duplicates: k.Duplicates.Load(), SlowStreams: k.SlowStreams.Load(), Panics: k.Panics.Load()}
	if se := s.current(); se != nil {
		out.InFlight, _ = se.peer.InFlight()
		out.Serving = se.peer.Serving()
		out.QueuedBytes = se.peer.Session().QueuedBytes()
	}
	return out
}

// Package session holds what outlives a connection: the one outbound queue of a
// session and its counts, to which connections attach and from which they
// detach (protocol section 8).
//
// It knows frames, not calls. A session that is not resumable forgets what has been
// written. Its owner ends it with its connection, and a resumable one after its window.
//
//	          Attach              Detach                 Resume
//	(new) ──────────► attached ──────────► waiting ──────────────► attached
//	                      │                    │
//	                      └───────── End ──────┴──► ended
//
// # Bounds
//
// A request or a response is admitted when the queue is empty or when it fits into LimitBytes, what is not
// acknowledged included; otherwise it waits for room, in order. So the queue holds at most its limit or one larger
// frame. Requests also wait while there is no connection. Control and terminal frames are always
// admitted; a queue that they alone drive over twice the limit ends the session as a slow consumer. Events that have not
// been written have a budget of their own: over it they are dropped and a gap is reported in their place, or the session
// ends, by configuration. The sessions of a hub that have no connection share a Budget.
package session

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/transport"
)

// Why a session has ended, besides the causes that are passed to End.
var (
	ErrEnded = errors.New("session: ended")
	// ErrSlow is the cause of a session that ended since the other side does not read.
	ErrSlow = errors.New("session: the other side does not read what it is sent")
)

// Options configure a session. The zero value has the defaults.
type Options struct {
	// LimitBytes bounds the queue; 0 is [DefaultBufferBytes], 4 MiB.
	LimitBytes int
	// EventBytes bounds the events in the queue; 0 is 1 MiB.
	EventBytes int
	// EndOnSlowEvents ends the session where events would be dropped.
	EndOnSlowEvents bool
	// Owner is notified of what the session cannot decide; nil is none.
	Owner Owner
	// Interval is the heartbeat interval of the connections; 0 is 25 s. See [ErrStuck].
	Interval time.Duration
	// Resumable keeps what has been written until the other side acknowledges it.
	Resumable bool
	// Budget, if not nil, is the budget that all sessions without a connection share.
	Budget *Budget
	// Gauges, if not nil, are what many sessions hold and have dropped together.
	Gauges *Gauges
}

// Owner is what a session belongs to.
type Owner interface {
	// Slow is called, once and on a goroutine of the session's own, when the session ends with ErrSlow.
	Slow()
	// Ready is called when events wait to be written and no goroutine writes. If it returns true, the owner ensures that
	// [Session.FlushReady] is called soon. It must not call the session itself.
	Ready(s *Session) bool
	// Log returns the log for failed writes.
	Log() *zerolog.Logger
}

// Stats counts what went through a session.
type Stats struct {
	Written       uint64 // frames handed to connections
	Withdrawn     uint64 // frames taken back before they were written
	EventsDropped uint64
	QueuedBytes   int // in the queue now
	Resumed       uint64
}

// Gauges is what many sessions hold and have dropped together, kept up to date so that it can be read without asking
// each.
type Gauges struct {
	QueuedBytes   atomic.Int64
	EventsDropped atomic.Uint64
}

// Budget counts the bytes in the queues of many sessions, of those that have no connection.
type Budget struct {
	// Limit bounds them: beyond it these sessions take nothing more.
	Limit int64
	used  atomic.Int64
}

// Used is how many bytes there are now.
func (t *Budget) Used() int64 { return t.used.Load() }

// Session is the outbound side of one session. All methods may be called
// concurrently.
type Session struct {
	opts    Options
	done    chan struct{}
	wg      sync.WaitGroup
	flusher func() // flush, made once
	acks    acks

	mu        sync.Mutex // guards the fields below
	queue     queue
	charged   int // what the budget is charged for this session
	counted   int // of the queue's bytes, what Gauges has
	conn      transport.Conn
	flushing  bool
	writing   bool          // the flusher is in a Write
	from      uint64        // the first position of that Write
	returned  sync.Cond     // told when a Write returns
	waiting   []*waiter     // frames that wait for room, in order
	excess    int           // by how much the last frame that was admitted exceeds the limit
	ack       []byte        // the acknowledgement in the current Write
	empty     chan struct{} // closed when all is written; nil while none waits
	gaps      map[string]int
	gapTopics []string
	cause     error
	index     answerIndex
	abandoned bool // some frame is to be replaced when the connection is lost
	stuck     inLine
	attached  mark // see Progressed

	withdrawn     uint64
	eventsDropped uint64
	resumed       uint64
	written       uint64
}

// New makes a session without a connection.
func New(o Options) *Session {
	if o.LimitBytes <= 0 {
		o.LimitBytes = DefaultBufferBytes
	}
	if o.EventBytes <= 0 {
		o.EventBytes = 1 << 20
	}
	if o.Interval <= 0 {
		o.Interval = 25 * time.Second
	}
	s := &Session{opts: o, done: make(chan struct{})}
	s.SetPeerBuffer(0)
	s.returned.L = &s.mu
	s.flusher = s.flush
	return s
}

// account updates Gauges, and the budget, which is charged for sessions without a connection.
func (s *Session) account() {
	if g := s.opts.Gauges; g != nil {
		g.QueuedBytes.Add(int64(s.queue.bytes - s.counted))
		s.counted = s.queue.bytes
	}
	if s.opts.Budget == nil {
		return
	}
	charge := 0
	if s.conn == nil {
		charge = s.queue.bytes
	}
	s.opts.Budget.used.Add(int64(charge - s.charged))
	s.charged = charge
}

// End ends the session: what waits fails with cause, what is in the queue is
// dropped. Only the first End counts; a nil cause is ErrEnded.
func (s *Session) End(cause error) {
	if cause == nil {
		cause = ErrEnded
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked(cause)
}

func (s *Session) endLocked(cause error) {
	if s.cause != nil {
		return
	}
	s.cause = cause
	s.queue.clear()
	s.index.last = nil
	s.setConnLocked(nil)
	s.gaps, s.gapTopics = nil, nil
	s.wakeLocked()
	close(s.done)
}

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.done }

// Cause says why the session ended; nil while it lives.
func (s *Session) Cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

// Wait returns when the session has ended and no goroutine of it is left.
func (s *Session) Wait() {
	<-s.done
	_ = s.Cause() // under the lock: the goroutine that ended the session may be about to start Owner.Slow
	s.wg.Wait()
}

// Resumable reports whether the session outlives its connection.
func (s *Session) Resumable() bool { return s.opts.Resumable }

// Attached reports whether the session has a connection.
func (s *Session) Attached() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn != nil
}

// Sent returns how many frames have been handed to connections, and whether frames wait to be written or are
// being written.
func (s *Session) Sent() (n uint64, sending bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written, !s.flushedLocked()
}

// Stats gives the counts of this moment.
func (s *Session) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Written: s.written, Withdrawn: s.withdrawn,
		EventsDropped: s.eventsDropped, QueuedBytes: s.queue.bytes, Resumed: s.resumed}
}

func (s *Session) wakeLocked() {
	if s.cause != nil {
		s.refuseLocked()
	} else {
		s.admitLocked()
	}
	if s.empty != nil && (s.cause != nil || s.flushedLocked()) {
		close(s.empty)
		s.empty = nil
	}
}

// flushedLocked reports whether everything has been handed to the connection.
func (s *Session) flushedLocked() bool { return s.queue.unwritten() == 0 && !s.writing }

func (s *Session) overBudget() bool {
	return s.opts.Budget != nil && s.opts.Budget.used.Load() >= s.opts.Budget.Limit
}

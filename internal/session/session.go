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
	// ErrSlow is the cause of a session that ended because the other side does not read.
	ErrSlow = errors.New("session: the other side does not read what it is sent")
)

// Options configure a session. The zero value has the defaults.
type Options struct {
	// LimitBytes bounds the queue; 0 is [DefaultBufferBytes], 4 MiB.
	LimitBytes int
	// EventBytes bounds the events in the queue that have not been written; 0 is 1 MiB.
	EventBytes int
	// EndOnSlowEvents ends the session where an event would be dropped because of EventBytes.
	EndOnSlowEvents bool
	// Owner is notified of what the session cannot decide; nil is none.
	Owner Owner
	// Interval is the heartbeat interval of the connections; 0 is 25 s. See [ErrStuck].
	Interval time.Duration
	// Resumable keeps what has been written until the other side acknowledges it.
	Resumable bool
	// Totals, if not nil, count this session in.
	Totals *Totals
}

// Owner is what a session belongs to.
type Owner interface {
	// Slow is called, once and on a goroutine of the session's own, when the session ends with ErrSlow.
	Slow()
	// Log returns the log for failed writes.
	Log() *zerolog.Logger
}

// Totals are what many sessions hold and have dropped together, kept up to date so that they can be read without
// asking each session.
type Totals struct {
	// MaxDetached bounds DetachedBytes: once they reach it, sessions without a connection take nothing more. It is set
	// before the first session is made.
	MaxDetached   int64
	QueuedBytes   atomic.Int64 // in the queues of all sessions
	DetachedBytes atomic.Int64 // in the queues of those without a connection
	EventsDropped atomic.Uint64
}

// Session is the outbound side of one session, and the count of what has arrived. All methods may be called concurrently.
type Session struct {
	opts    Options
	done    chan struct{}  // closed when the session has ended
	wg      sync.WaitGroup // of the goroutine that writes, and of Owner.Slow
	flusher func()         // flush, made once
	acks    acks

	mu       sync.Mutex     // guards the fields below
	conn     transport.Conn // nil unless attached
	cause    error          // nil unless ended
	progress progress

	queue    queue
	waiting  []*waiter // frames that wait for room, in order
	excess   int       // by how much the last frame that was admitted exceeds the limit
	gaps     gaps
	index    answerIndex
	queued   int // of Totals.QueuedBytes, what this session has added
	detached int // likewise of DetachedBytes

	writer   writer
	returned sync.Cond     // broadcast when a Write returns
	flushed  chan struct{} // closed when everything is written; nil while no caller waits for that
	written  uint64        // frames handed to connections, acknowledgements included
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

// settleLocked follows a change that may have made room, completed the writing, or attached a connection.
func (s *Session) settleLocked() {
	s.accountLocked()
	s.admitLocked()
	s.startFlushLocked()
	if s.flushed != nil && (s.cause != nil || s.flushedLocked()) {
		close(s.flushed)
		s.flushed = nil
	}
	if s.queue.first == s.queue.end() {
		s.index.last = nil
	}
}

// accountLocked updates Totals after the queue or the connection has changed.
func (s *Session) accountLocked() {
	t := s.opts.Totals
	if t == nil {
		return
	}
	update := func(total *atomic.Int64, mine *int, now int) {
		if now != *mine {
			total.Add(int64(now - *mine))
			*mine = now
		}
	}
	update(&t.QueuedBytes, &s.queued, s.queue.bytes)
	detached := 0
	if s.conn == nil {
		detached = s.queue.bytes
	}
	update(&t.DetachedBytes, &s.detached, detached)
}

// detachedFullLocked reports whether the session must take nothing more because it has no connection.
func (s *Session) detachedFullLocked() bool {
	t := s.opts.Totals
	return s.conn == nil && t != nil && t.DetachedBytes.Load() >= t.MaxDetached
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
	s.conn = nil
	s.queue.clear()
	s.gaps = gaps{}
	s.refuseLocked()
	s.settleLocked()
	close(s.done)
}

// slowLocked ends the session because the other side does not read.
func (s *Session) slowLocked() {
	if s.opts.Owner != nil {
		s.wg.Go(s.opts.Owner.Slow) // before the end, or Wait could return without it
	}
	s.endLocked(ErrSlow)
}

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.done }

// Cause returns why the session ended; nil before.
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

// QueuedBytes returns the size of the frames in the queue.
func (s *Session) QueuedBytes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.bytes
}

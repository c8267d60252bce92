// Package session holds what outlives a connection: the one outbound log of a
// session, with its counts, to which connections attach and from which they
// detach.
//
// It knows frames, not calls. With a window of zero, the only one there is so
// far, what has been written counts as acknowledged, and the session ends with its
// connection.
//
// # Bounds
//
// Requests and responses wait for room when LimitBytes are in the log. Control and
// terminal frames are always taken; a log that they alone drive over twice the limit ends
// the session as a slow consumer. Events have a budget of their own: over
// it they are dropped and a gap is told in their place, or the session ends, by
// configuration. A frame larger than the limit is taken when the log is empty.
package session

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/transport"
)

// What a session's Send can fail with, besides the context's error and the cause of its end.
var (
	ErrEnded = errors.New("session: ended")
	// ErrSlow is the cause of a session that ended since the other side does not read.
	ErrSlow = errors.New("session: the other side does not read what it is sent")
)

// Options configure a session. The zero value has the defaults.
type Options struct {
	// LimitBytes bounds the log; 0 is 4 MiB.
	LimitBytes int
	// EventBytes bounds the events in the log; 0 is 1 MiB.
	EventBytes int
	// EndOnSlowEvents ends the session where events would be dropped.
	EndOnSlowEvents bool
	// GapFrame makes the frame that tells of dropped events; it must not block.
	GapFrame func(topic string, dropped int) []byte
	// OnSlow is called, once and on a goroutine of the session's own, when the
	// session ends with ErrSlow.
	OnSlow func()
	// Log gets a line when a connection's write fails.
	Log zerolog.Logger
}

// Stats counts what went through a session.
type Stats struct {
	Written       uint64 // frames handed to connections
	Withdrawn     uint64 // frames taken back before they were written
	EventsDropped uint64
	QueuedBytes   int // in the log now
}

// Session is the outbound side of one session. All methods may be called
// concurrently.
type Session struct {
	opts Options
	done chan struct{}
	wg   sync.WaitGroup

	mu        sync.Mutex // guards the fields below
	log       log
	conn      transport.Conn
	flushing  bool
	room      chan struct{} // closed when there is room again; nil while nobody waits
	empty     chan struct{} // closed when all is written; nil while nobody waits
	gaps      map[string]int
	gapTopics []string
	cause     error

	withdrawn     uint64
	eventsDropped uint64
	written       atomic.Uint64
}

// New makes a session without a connection.
func New(o Options) *Session {
	if o.LimitBytes <= 0 {
		o.LimitBytes = 4 << 20
	}
	if o.EventBytes <= 0 {
		o.EventBytes = 1 << 20
	}
	return &Session{opts: o, done: make(chan struct{})}
}

// Attach gives the session a connection to write to. What is in the log goes
// out, in order. It fails with the session's cause when that has ended.
func (s *Session) Attach(c transport.Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		return s.cause
	}
	s.conn = c
	s.startFlushLocked()
	return nil
}

// End ends the session: what waits fails with cause, what is in the log is
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
	s.log.clear()
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
	_ = s.Cause() // under the lock: whoever ended the session may have been about to start OnSlow
	s.wg.Wait()
}

// Stats gives the counts of this moment.
func (s *Session) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Written: s.written.Load(), Withdrawn: s.withdrawn,
		EventsDropped: s.eventsDropped, QueuedBytes: s.log.bytes}
}

func (s *Session) wakeLocked() {
	if s.room != nil && (s.cause != nil || s.log.bytes < s.opts.LimitBytes) {
		close(s.room)
		s.room = nil
	}
	if s.empty != nil && (s.cause != nil || s.log.idle()) {
		close(s.empty)
		s.empty = nil
	}
}

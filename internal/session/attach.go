package session

import (
	"errors"

	"github.com/alkdev/hubspoke/transport"
)

// ErrCount reports that the other side claims to have received more than was sent,
// or, on resumption, less than it had acknowledged before: it is not the same session.
var ErrCount = errors.New("session: the counts of the two sides do not belong together")

// Attach attaches the first connection to a new session. The queue is written in order.
// Attach fails with the session's cause if that has ended.
func (s *Session) Attach(c transport.Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		return s.cause
	}
	s.attachLocked(c)
	return nil
}

func (s *Session) attachLocked(c transport.Conn) {
	s.conn = c
	s.progress.attached(s.ReceivedCount(), s.queue.acked, s.queue.numbered, s.opts.Interval)
	s.appendGapsLocked() // of what was dropped while nothing could be written
	s.settleLocked()
}

// Detach takes a connection that was lost away, if it is the one attached: what
// has not been acknowledged waits for the next.
func (s *Session) Detach(c transport.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause == nil && s.conn == c {
		s.detachLocked()
	}
}

func (s *Session) detachLocked() {
	s.conn = nil
	s.progress.detached()
	if s.writer != writing { // otherwise wroteLocked does it, since the Write still reads the buffers
		s.queue.rewind()
	}
	s.settleLocked()
}

// Check reports why the other side cannot resume the session after it has received this many frames: [ErrCount] or
// [ErrStuck].
func (s *Session) Check(received uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.checkLocked(received)
}

func (s *Session) checkLocked(received uint64) error {
	if received > s.queue.numbered || received < s.queue.acked {
		return ErrCount
	}
	if s.progress.repeated(received, s.queue.numbered, s.opts.Interval) >= stuckConnections {
		return ErrStuck
	}
	return nil
}

// Resume continues on another connection, from the first frame that the other
// side has not received. The reader of the old one must have ended, and the old one be aborted: Resume
// waits for a Write that is still in it. It fails with [ErrCount], [ErrStuck], or the session's cause.
func (s *Session) Resume(c transport.Conn, received uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.writer == writing {
		s.returned.Wait()
	}
	if s.cause != nil {
		return s.cause
	}
	if err := s.checkLocked(received); err != nil {
		return err
	}
	s.queue.acked = received
	s.queue.rewind()
	s.acks.resumed()
	s.attachLocked(c)
	return nil
}

// Ack notes how many frames the other side has received. It fails with [ErrCount].
func (s *Session) Ack(received uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if received > s.queue.numbered {
		return ErrCount
	}
	s.queue.acked = max(s.queue.acked, received)
	s.queue.trim()
	s.appendGapsLocked() // there may be nothing left to write that would
	s.settleLocked()
	return nil
}

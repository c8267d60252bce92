package session

import (
	"errors"

	"github.com/alkdev/hubspoke/transport"
)

// ErrCount reports that the other side claims to have received more than was sent,
// or, on resumption, less than it had acknowledged before: it is not the same session.
var ErrCount = errors.New("session: the counts of the two sides do not belong together")

// Attach attaches the first connection to a new session. The queue is written in order.
// Attach fails with the session's cause when that has ended.
func (s *Session) Attach(c transport.Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attachLocked(c)
}

func (s *Session) attachLocked(c transport.Conn) error {
	if s.cause != nil {
		return s.cause
	}
	s.setConnLocked(c)
	s.attached = s.markLocked()
	s.appendGapsLocked() // of what was dropped while nothing could be written
	s.startFlushLocked()
	s.admitLocked()
	return nil
}

func (s *Session) setConnLocked(c transport.Conn) {
	if s.opts.Resumable {
		s.stuck.connection(s.conn != nil, c != nil)
	}
	s.conn = c
	s.account()
}

// rewindLocked makes the queue ready for the next connection.
func (s *Session) rewindLocked() {
	s.queue.rewind()
	s.replaceAbandonedLocked()
	s.account()
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
	if s.stuck.next(received, s.queue.numbered, s.opts.Interval).count >= stuckConnections {
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
	for s.writing {
		s.returned.Wait()
	}
	if s.cause != nil {
		return s.cause
	}
	if err := s.checkLocked(received); err != nil {
		return err
	}
	s.queue.acked = received
	s.stuck = s.stuck.next(received, s.queue.numbered, s.opts.Interval)
	s.rewindLocked()
	s.resumed++
	s.acks.resumed()
	return s.attachLocked(c)
}

// Detach takes a connection that was lost away, if it is the one attached: what
// has not been acknowledged waits for the next.
func (s *Session) Detach(c transport.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil || s.conn != c {
		return
	}
	s.setConnLocked(nil)
	if !s.writing { // else the flusher does it, since the Write still reads the buffers
		s.rewindLocked()
	}
}

// Ack takes the other side's word for what it has received. It fails with [ErrCount].
func (s *Session) Ack(received uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if received > s.queue.numbered {
		return ErrCount
	}
	s.queue.acked = max(s.queue.acked, received)
	s.trimLocked()
	s.appendGapsLocked() // there may be nothing left to write that would
	s.wakeLocked()
	return nil
}

// trimLocked gives back what need not be kept, up to what is being written now.
func (s *Session) trimLocked() {
	if s.writing {
		s.queue.trim(s.from)
	} else {
		s.queue.trim(s.queue.written)
	}
	if s.queue.first == s.queue.end() {
		s.index.last = nil
	}
	s.account()
}

package session

import (
	"context"
	"slices"
	"time"
)

// waiter is a frame that waits to be appended.
type waiter struct {
	buf    *Buffer
	notify Appended
	kind   Kind

	// Set before done is closed.
	position Position
	err      error
	done     chan struct{}
}

// admitsLocked reports whether a frame of that size may be appended now: when the queue is empty or when it fits, so that
// the queue holds at most its limit or one larger frame. Requests need a connection, so that they can be taken back while
// there is none; responses of a detached session need room in the budget that all detached sessions share.
func (s *Session) admitsLocked(size int, k Kind) bool {
	return s.openLocked(k) && (s.queue.bytes == 0 || s.queue.bytes+size <= s.opts.LimitBytes)
}

func (s *Session) openLocked(k Kind) bool {
	return s.conn != nil || !s.opts.Resumable || k != Request && !s.overBudget()
}

// behindLocked reports whether a frame has to wait behind others that wait for room: a large one would never find any
// if small ones passed it.
func (s *Session) behindLocked() bool {
	return slices.ContainsFunc(s.waiting, func(w *waiter) bool { return s.openLocked(w.kind) })
}

// admitLocked appends what waits, in order, as far as there is room.
func (s *Session) admitLocked() {
	if len(s.waiting) == 0 {
		return
	}
	full := false
	left := s.waiting[:0]
	for _, w := range s.waiting {
		if full || !s.admitsLocked(len(w.buf.B), w.kind) {
			full = full || s.openLocked(w.kind)
			left = append(left, w)
			continue
		}
		w.position = s.appendedLocked(w.buf, w.notify)
		close(w.done)
	}
	clear(s.waiting[len(left):])
	if s.waiting = left; len(left) == 0 {
		s.waiting = nil
	}
	s.startFlushLocked()
}

// refuseLocked ends the wait of all with the session's cause.
func (s *Session) refuseLocked() {
	for _, w := range s.waiting {
		w.buf.Free()
		w.err = s.cause
		close(w.done)
	}
	s.waiting = nil
}

// await waits until the frame has been appended or the session has ended. It fails after the timeout (0: never) or with the
// context.
func (s *Session) await(ctx context.Context, w *waiter, wait time.Duration) (Position, error) {
	var over <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		over = timer.C
	}
	err := ErrNoRoom
	select {
	case <-w.done:
		return w.position, w.err
	case <-over:
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.waiting, w)
	if i < 0 { // it was appended meanwhile
		return w.position, w.err
	}
	s.waiting = slices.Delete(s.waiting, i, i+1)
	w.buf.Free()
	s.admitLocked() // there may be room for those behind it
	return 0, err
}

package session

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Position names a frame in the queue.
type Position uint64

// Kind says how a frame is admitted and kept.
type Kind uint8

const (
	// Request is a request of this side. It waits for room, and for a connection.
	Request Kind = iota
	// Response is a response, or an event of a program of this side. It waits for room.
	Response
	// Control is a control or terminal frame that must not wait.
	Control
	// Uncounted is a control frame that belongs to the current connection (protocol section 8), see [wire.Type.Counted].
	Uncounted
	// event is an event of a topic, within the budget for events.
	event
)

// ErrNoRoom is returned by Append if there was no room within its timeout.
var ErrNoRoom = errors.New("session: no room in the queue in time")

// Appended is notified when a frame is appended.
type Appended interface {
	// Appended is called when the frame is appended, before it can be written. It must not wait nor call the session.
	Appended()
}

// Append appends a Request or a Response. While there is no room, it waits until wait has expired (0: no bound), the
// context ends or the session ends. It takes the buffer in any case. The error is ErrNoRoom, the context's, or the session's
// cause; then n, which may be nil, is not notified.
func (s *Session) Append(ctx context.Context, k Kind, b *Buffer, wait time.Duration, n Appended) (Position, error) {
	s.mu.Lock()
	if p, ok := s.tryAppendLocked(k, b, n); ok {
		s.startFlushLocked()
		s.mu.Unlock()
		return p, nil
	}
	if err := s.cause; err != nil {
		s.mu.Unlock()
		b.Free()
		return 0, err
	}
	w := &waiter{buf: b, notify: n, kind: k, done: make(chan struct{})}
	s.waiting = append(s.waiting, w)
	s.mu.Unlock()
	return s.await(ctx, w, wait)
}

// TryAppend is Append if that need not wait; then ok is true and it takes the buffer. If ready is true, no other goroutine
// will write the frame: call [Session.FlushReady] soon.
func (s *Session) TryAppend(k Kind, b *Buffer, n Appended) (p Position, ok, ready bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok = s.tryAppendLocked(k, b, n); ok {
		ready = s.claimFlushLocked()
	}
	return p, ok, ready
}

func (s *Session) tryAppendLocked(k Kind, b *Buffer, n Appended) (Position, bool) {
	if s.cause != nil || !s.admitsLocked(k, len(b.B)) || s.behindLocked() {
		return 0, false
	}
	return s.admittedLocked(k, b, n), true
}

func (s *Session) admittedLocked(k Kind, b *Buffer, n Appended) Position {
	if n != nil {
		n.Appended()
	}
	s.excess = max(len(b.B)-s.opts.LimitBytes, 0) // it was admitted alone, or there is none
	return s.appendLocked(k, b)
}

func (s *Session) appendLocked(k Kind, b *Buffer) Position {
	p := s.queue.append(k, b)
	s.accountLocked()
	return Position(p)
}

// AppendControl appends a Control or Uncounted frame. It never waits. It fails with the session's cause if that has
// ended; the session ends with ErrSlow if the queue exceeds twice its limit, not counting the excess of a single larger
// frame. An Uncounted frame is dropped if there is no connection.
func (s *Session) AppendControl(k Kind, b *Buffer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.cause != nil:
		b.Free()
		return s.cause
	case k == Uncounted && s.conn == nil:
		b.Free()
		return nil
	case s.queue.bytes-s.queue.heldEvents > 2*s.opts.LimitBytes+s.excess: // events have a budget of their own
		b.Free()
		s.slowLocked()
		return ErrSlow
	}
	s.appendLocked(k, b)
	s.startFlushLocked()
	return nil
}

// Withdraw takes a frame back that has never been written and reports whether it
// did: the other side has not seen it and never will.
func (s *Session) Withdraw(p Position) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.queue.withdraw(uint64(p)) {
		return false
	}
	s.settleLocked()
	return true
}

// Written reports whether the frame has ever been handed to a connection.
func (s *Session) Written(p Position) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint64(p) < s.queue.reached
}

// admitsLocked reports whether a frame of that size may be appended now: when the queue is empty or when it fits, so that
// the queue holds at most its limit or one larger frame. The entries may take as much again.
func (s *Session) admitsLocked(k Kind, size int) bool {
	q, limit := &s.queue, s.opts.LimitBytes
	return s.openLocked(k) && (q.bytes == 0 || q.bytes+size <= limit && q.len()*entryBytes <= max(limit, batchBytes))
}

// openLocked reports whether frames of that kind are admitted, if there is room. Requests need a connection, so that they
// can be taken back while there is none; responses of a detached session need room in what all detached sessions share.
func (s *Session) openLocked(k Kind) bool {
	return s.conn != nil || !s.opts.Resumable || k != Request && !s.detachedFullLocked()
}

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
		if full || !s.admitsLocked(w.kind, len(w.buf.B)) {
			full = full || s.openLocked(w.kind)
			left = append(left, w)
			continue
		}
		w.position = s.admittedLocked(w.kind, w.buf, w.notify)
		close(w.done)
	}
	clear(s.waiting[len(left):])
	if s.waiting = left; len(left) == 0 {
		s.waiting = nil
	}
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
	var expired <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		expired = timer.C
	}
	err := ErrNoRoom
	select {
	case <-w.done:
		return w.position, w.err
	case <-expired:
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
	s.settleLocked() // there may be room for those behind it
	return 0, err
}

package session

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/alkdev/hubspoke/internal/wire"
)

// Position names a frame in the queue.
type Position uint64

// ErrNoRoom is returned by Append if there was no room within its timeout.
var ErrNoRoom = errors.New("session: no room in the queue in time")

// Kind is what a frame that may have to wait for room is.
type Kind uint8

// The kinds. Control and terminal frames of the reader, and events, never wait; they have methods of their own.
const (
	// Request is a request of this side. It also waits while there is no connection.
	Request Kind = iota
	// Response is a response, or an event of a program of this side.
	Response
)

// Appended is notified when a frame is appended.
type Appended interface {
	// Appended is called when the frame is appended, before it can be written. It must not wait nor call the session.
	Appended()
}

// Append appends a frame. While the queue is full, it waits until wait has expired (0: no bound), the context ends or the
// session ends. It takes the buffer in any case. The error is ErrNoRoom, the context's, or the session's cause; then n,
// which may be nil, is not notified.
func (s *Session) Append(ctx context.Context, k Kind, b *Buffer, wait time.Duration, n Appended) (Position, error) {
	s.mu.Lock()
	if s.cause != nil {
		defer s.mu.Unlock()
		b.Free()
		return 0, s.cause
	}
	if s.admitsLocked(len(b.B), k) && !s.behindLocked() {
		defer s.mu.Unlock()
		p := s.appendedLocked(b, n)
		s.startFlushLocked()
		return p, nil
	}
	w := &waiter{buf: b, notify: n, kind: k, done: make(chan struct{})}
	s.waiting = append(s.waiting, w)
	s.mu.Unlock()
	return s.await(ctx, w, wait)
}

// TryAppend is Append if that need not wait; then ok is true and it takes the buffer. If ready is true, no other goroutine
// will write it: call [Session.FlushReady] soon.
func (s *Session) TryAppend(k Kind, b *Buffer, n Appended) (p Position, ok, ready bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil || !s.admitsLocked(len(b.B), k) || s.behindLocked() {
		return 0, false, false
	}
	p = s.appendedLocked(b, n)
	return p, true, s.claimFlushLocked()
}

func (s *Session) appendedLocked(b *Buffer, n Appended) Position {
	if n != nil {
		n.Appended()
	}
	s.excess = max(len(b.B)-s.opts.LimitBytes, 0) // it was admitted alone, or there is none
	p := s.queue.append(b, counted)
	s.account()
	return Position(p)
}

// Post appends a control or terminal frame. It never waits. It fails with the
// session's cause when that has ended; the session ends with ErrSlow when the queue
// exceeds twice its limit, not counting the excess of a single larger frame.
func (s *Session) Post(b *Buffer) error { return s.post(b, counted) }

// PostUncounted appends a control frame that belongs to the current
// connection (see [wire.Type.Counted]); without one it is dropped.
func (s *Session) PostUncounted(b *Buffer) error { return s.post(b, uncounted) }

func (s *Session) post(b *Buffer, k kind) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		b.Free()
		return s.cause
	}
	if k == uncounted && s.conn == nil {
		b.Free()
		return nil
	}
	if s.queue.bytes-s.queue.heldEvents > 2*s.opts.LimitBytes+s.excess { // events have a budget of their own
		b.Free()
		s.slowLocked()
		return ErrSlow
	}
	s.appendLocked(b, k)
	return nil
}

// PostEvent appends an event of a topic. It never waits. Over the budget the
// event is dropped and a gap is reported in its place, or the session ends.
func (s *Session) PostEvent(topic string, b *Buffer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		b.Free()
		return
	}
	over := s.queue.eventBytes > 0 && s.queue.eventBytes+len(b.B) > s.opts.EventBytes ||
		s.queue.bytes > s.opts.LimitBytes+s.opts.EventBytes || s.conn == nil && s.overBudget()
	if !over && len(s.gaps) == 0 {
		s.appendEventLocked(b)
		return
	}
	if s.opts.EndOnSlowEvents {
		b.Free()
		s.slowLocked()
		return
	}
	if !over {
		if s.gaps[topic] == 0 {
			s.appendEventLocked(b)
			return
		}
		s.appendGapLocked(topic)
		s.appendEventLocked(b)
		return
	}
	b.Free()
	s.loseLocked(topic)
}

// LoseEvent reports a gap of one in place of an event that this session cannot take. It never waits. Gaps
// of a topic that come together while something waits to be written become one.
func (s *Session) LoseEvent(topic string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		return
	}
	s.loseLocked(topic)
	if s.flushedLocked() { // otherwise the flusher does it when it has written
		s.appendGapsLocked()
	}
}

func (s *Session) loseLocked(topic string) {
	s.eventsDropped++
	if g := s.opts.Gauges; g != nil {
		g.EventsDropped.Add(1)
	}
	if s.gaps == nil {
		s.gaps = make(map[string]int)
	}
	if s.gaps[topic] == 0 {
		s.gapTopics = append(s.gapTopics, topic)
	}
	s.gaps[topic]++
}

// Withdraw takes a frame back that has not been written and reports whether it
// did: the other side has not seen it and never will.
func (s *Session) Withdraw(p Position) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.queue.withdraw(uint64(p)) {
		return false
	}
	s.account()
	s.withdrawn++
	s.wakeLocked()
	return true
}

// Written reports whether the frame has ever been handed to a connection.
func (s *Session) Written(p Position) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint64(p) < s.queue.reached
}

// Flush waits until everything that is in the queue has been handed to a connection.
func (s *Session) Flush(ctx context.Context) error {
	s.mu.Lock()
	if s.cause != nil {
		defer s.mu.Unlock()
		return s.cause
	}
	if s.flushedLocked() {
		s.mu.Unlock()
		return nil
	}
	if s.empty == nil {
		s.empty = make(chan struct{})
	}
	empty := s.empty
	s.mu.Unlock()
	select {
	case <-empty:
		return s.Cause()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Session) appendLocked(b *Buffer, k kind) {
	s.queue.append(b, k)
	s.account()
	s.startFlushLocked()
}

func (s *Session) appendEventLocked(b *Buffer) {
	s.queue.append(b, event)
	s.account()
	if s.claimFlushLocked() && (s.opts.Owner == nil || !s.opts.Owner.Ready(s)) {
		go s.flusher()
	}
}

func (s *Session) appendGapLocked(topic string) {
	n := s.gaps[topic]
	delete(s.gaps, topic)
	if i := slices.Index(s.gapTopics, topic); i >= 0 {
		s.gapTopics = slices.Delete(s.gapTopics, i, i+1)
	}
	s.appendLocked(Shared(wire.AppendGap(nil, topic, n)), counted)
}

// appendGapsLocked reports all gaps once the events before them have been written,
// so that a gap is reported even if no later event comes.
func (s *Session) appendGapsLocked() {
	if len(s.gapTopics) == 0 || s.queue.eventBytes > s.opts.EventBytes/2 {
		return
	}
	topics := s.gapTopics
	s.gapTopics = nil
	for _, t := range topics {
		s.appendGapLocked(t)
	}
	s.gaps = nil
}

func (s *Session) slowLocked() {
	if s.opts.Owner != nil {
		s.wg.Go(s.opts.Owner.Slow) // before the end, or Wait could return without it
	}
	s.endLocked(ErrSlow)
}

package session

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/alkdev/hubspoke/internal/wire"
)

// When an acknowledgement is written (protocol section 8).
const (
	// It rides along with a write that happens anyway.
	ackAlongFrames = 8
	ackAlongBytes  = 16 << 10
	ackAlongAge    = 100 * time.Millisecond
	// It causes a write. So does a quarter of the sender's queue.
	ackFrames = 32
	ackAge    = 2 * time.Second
)

// DefaultBufferBytes is the limit of the queue of a side that announces none.
const DefaultBufferBytes = 4 << 20

// acks counts what arrives and decides when it is acknowledged. There is no timer: what is old is found by
// [Session.AckOverdue].
type acks struct {
	urgent atomic.Bool // an acknowledgement is to be written, even if nothing else is; set under mu

	mu       sync.Mutex // guards the fields below
	received uint64
	acked    uint64    // the last that was acknowledged
	bytes    int       // since then
	oldest   time.Time // when the first since then arrived
	quarter  int       // of the sender's queue, in bytes
}

// SetPeerBuffer sets the limit of the other side's queue, as it was announced; 0 is [DefaultBufferBytes].
func (s *Session) SetPeerBuffer(bytes int64) {
	if bytes <= 0 {
		bytes = DefaultBufferBytes
	}
	a := &s.acks
	a.mu.Lock()
	defer a.mu.Unlock()
	a.quarter = int(max(bytes/4, 1))
}

// Received counts a frame that has arrived and whose type is counted; see
// [wire.Type.Counted]. The reader calls it before the frame is dispatched.
func (s *Session) Received(size int) {
	if s.opts.Resumable && s.acks.add(size) {
		s.writeAck()
	}
}

// ReceivedCount returns how many counted frames have arrived.
func (s *Session) ReceivedCount() uint64 {
	s.acks.mu.Lock()
	defer s.acks.mu.Unlock()
	return s.acks.received
}

// AckOverdue writes an acknowledgement if the oldest frame without one has waited for too long. Its caller calls it about
// once per second.
func (s *Session) AckOverdue(now time.Time) {
	if s.acks.overdue(now) {
		s.writeAck()
	}
}

// writeAck starts a write for an acknowledgement that has become urgent. Without a connection the next registration
// carries the number.
func (s *Session) writeAck() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.startFlushLocked()
}

// add counts a frame and reports whether an acknowledgement has become urgent with it.
func (a *acks) add(size int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.received++
	a.bytes += size
	n := a.received - a.acked
	if n == 1 {
		a.oldest = time.Now()
	}
	return (n >= ackFrames || a.bytes >= a.quarter) && a.becomesUrgentLocked()
}

// overdue reports whether an acknowledgement has become urgent with time.
func (a *acks) overdue(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.received > a.acked && now.Sub(a.oldest) >= ackAge && a.becomesUrgentLocked()
}

func (a *acks) becomesUrgentLocked() bool { return !a.urgent.Swap(true) }

// take returns the number to acknowledge with a write that is about to happen, which counts as acknowledged then. It
// returns false if there is nothing new, or too little.
func (a *acks) take() (n uint64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	waiting := a.received - a.acked
	if waiting == 0 || !a.urgent.Load() && waiting < ackAlongFrames && a.bytes < ackAlongBytes && time.Since(a.oldest) < ackAlongAge {
		return 0, false
	}
	a.acknowledgedLocked()
	return a.received, true
}

// resumed notes that the registration has carried the number.
func (a *acks) resumed() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.acknowledgedLocked()
}

func (a *acks) acknowledgedLocked() {
	a.acked, a.bytes = a.received, 0
	a.urgent.Store(false)
}

// appendTo appends the frame of an acknowledgement to a write, if one is to go along.
func (a *acks) appendTo(w *write) {
	if n, ok := a.take(); ok {
		w.ack = wire.AppendAck(w.ack[:0], n)
		w.frames = append(w.frames, w.ack)
	}
}

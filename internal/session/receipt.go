package session

import (
	"strconv"
	"sync"
	"time"

	"github.com/alkdev/hubspoke/transport"
)

// TypeAck tells the other side what has arrived (protocol section 8).
const TypeAck = "__ack"

const (
	ackFrames = 32
	ackDelay  = 500 * time.Millisecond
)

// receipt counts what arrives and says when to acknowledge it: after 32 frames,
// a quarter of the buffer in bytes, or 500 ms, whichever is first, when there is something new.
type receipt struct {
	mu       sync.Mutex // guards the fields below
	received uint64
	told     uint64 // the last that was acknowledged
	bytes    int    // since then
	timer    *time.Timer
	armed    bool
	since    time.Time // when it was armed
}

// Received counts a frame that has arrived and whose type is counted; see
// [Uncounted]. It is the reader's, and is called before the frame is dispatched.
func (s *Session) Received(size int) {
	if !s.opts.Resumable {
		return
	}
	r := &s.receipt
	r.mu.Lock()
	r.received++
	r.bytes += size
	due := r.received-r.told >= ackFrames || r.bytes >= s.opts.LimitBytes/4
	if !due && !r.armed {
		r.armed, r.since = true, time.Now()
		if r.timer == nil {
			r.timer = time.AfterFunc(ackDelay, s.acknowledge)
		} else {
			r.timer.Reset(ackDelay)
		}
	}
	r.mu.Unlock()
	if due {
		s.acknowledge()
	}
}

// acknowledge sends an __ack if there is something new.
func (s *Session) acknowledge() {
	r := &s.receipt
	r.mu.Lock()
	n := r.received
	due := n > r.told
	r.told, r.bytes, r.armed = n, 0, false
	if r.timer != nil {
		r.timer.Stop()
	}
	r.mu.Unlock()
	if !due {
		return
	}
	_ = s.post(ackFrame(n), uncounted) // without a connection the next registration says it
}

func ackFrame(n uint64) *Buffer {
	b := NewBuffer()
	var payload [40]byte
	b.B = transport.AppendFrame(b.B, TypeAck, append(strconv.AppendUint(append(payload[:0], `{"received":`...), n, 10), '}'))
	return b
}

// ackAlongLocked adds an acknowledgement that will soon be due to what is about to be written anyway: a connection that
// is used now and then would otherwise send as many acknowledgements as frames, each in a write of its own.
func (s *Session) ackAlongLocked() {
	if n, ok := s.receipt.early(); ok {
		s.log.append(ackFrame(n), uncounted)
		s.account()
	}
}

// early is acknowledge for one who writes now.
func (r *receipt) early() (n uint64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.armed || r.received == r.told || time.Since(r.since) < ackDelay/4 {
		return 0, false
	}
	r.told, r.bytes, r.armed = r.received, 0, false
	r.timer.Stop()
	return r.received, true
}

// ReceivedCount is how many counted frames have arrived.
func (s *Session) ReceivedCount() uint64 {
	s.receipt.mu.Lock()
	defer s.receipt.mu.Unlock()
	return s.receipt.received
}

// stop ends the timer with the session.
func (r *receipt) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer != nil {
		r.timer.Stop()
	}
}

// Uncounted reports whether frames of this type belong to one connection and are
// not counted (protocol section 8).
func Uncounted(typ string) bool {
	switch typ {
	case TypeAck, "__ping", "__pong", "__drain":
		return true
	}
	return false
}

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
		r.armed = true
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
	b := NewBuffer()
	b.B = transport.AppendFrame(b.B, TypeAck, append(strconv.AppendUint([]byte(`{"received":`), n, 10), '}'))
	_ = s.post(b, uncounted) // without a connection the next registration says it
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

// Package slots is the least that can tell which reply belongs to which call: a call takes one of a fixed number of
// slots, sends the slot's number before its payload, and waits on the slot. The floors use it, so that what is
// measured against them cannot blame their bookkeeping: nothing is allocated for a call but the reply that it
// hands out, and there is no map.
package slots

import (
	"encoding/binary"
	"errors"
	"sync"
)

const (
	// Prefix is the length of the number before a payload.
	Prefix = 4
	// published is the number of what is no call.
	published = 1<<32 - 1
)

// ErrLost is what calls fail with when no reply can come any more.
var ErrLost = errors.New("slots: the connection was lost")

// ErrNone is what a call fails with when there is no free slot.
var ErrNone = errors.New("slots: more calls in flight than slots")

// Slots are the calls in flight.
type Slots struct {
	all []Slot

	mu sync.Mutex
	// free are used again last in, first out, so that few are used, and those are in the processor's cache.
	free []*Slot
}

// Slot is one call in flight.
type Slot struct {
	number uint32
	frame  []byte
	reply  chan []byte
}

// New makes n slots, all of them free.
func New(n int) *Slots {
	s := &Slots{all: make([]Slot, n), free: make([]*Slot, 0, n)}
	for i := n - 1; i >= 0; i-- {
		slot := &s.all[i]
		slot.number = uint32(i)
		slot.reply = make(chan []byte, 1)
		s.free = append(s.free, slot)
	}
	return s
}

// Take gives a free slot, and the frame to send: its number and the payload. The frame may be used until the reply
// is there.
func (s *Slots) Take(payload []byte) (*Slot, []byte, error) {
	s.mu.Lock()
	last := len(s.free) - 1
	if last < 0 {
		s.mu.Unlock()
		return nil, nil, ErrNone
	}
	slot := s.free[last]
	s.free = s.free[:last]
	s.mu.Unlock()
	slot.frame = append(binary.LittleEndian.AppendUint32(slot.frame[:0], slot.number), payload...)
	return slot, slot.frame, nil
}

// Wait waits for the reply and frees the slot.
func (s *Slots) Wait(slot *Slot) ([]byte, error) {
	reply := <-slot.reply
	if reply == nil {
		return nil, ErrLost
	}
	s.mu.Lock()
	s.free = append(s.free, slot)
	s.mu.Unlock()
	return reply, nil
}

// Deliver hands a frame that was received to the call that waits for it. The frame may be used again afterwards.
func (s *Slots) Deliver(frame []byte) error {
	if len(frame) < Prefix {
		return errors.New("slots: a frame without a number")
	}
	number := binary.LittleEndian.Uint32(frame)
	if int64(number) >= int64(len(s.all)) {
		return errors.New("slots: a frame with a number that was not given")
	}
	reply := make([]byte, len(frame)-Prefix)
	copy(reply, frame[Prefix:])
	s.all[number].reply <- reply
	return nil
}

// Fail ends the calls in flight. Whoever calls afterwards must see by himself that he cannot.
func (s *Slots) Fail() {
	for i := range s.all {
		select {
		case s.all[i].reply <- nil:
		default: // it has its reply
		}
	}
}

// AppendPublished appends the frame of a payload that is published and has no call.
func AppendPublished(dst, payload []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(dst, published), payload...)
}

// Published gives the payload of such a frame.
func Published(frame []byte) ([]byte, bool) {
	if len(frame) < Prefix || binary.LittleEndian.Uint32(frame) != published {
		return nil, false
	}
	return frame[Prefix:], true
}

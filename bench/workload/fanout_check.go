package workload

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/alkdev/hubspoke/bench/process"
)

// fan publishes and sees to it that every subscriber gets every message once, whole and in order.
type fan struct {
	send        func(first uint64, messages, size int) error
	size, burst int
	subscribers int
	limit       time.Duration

	next     uint64 // number of the next message
	complete uint64 // how many everybody has got

	// arrived counts the deliveries of each message on its way, by its number modulo the length.
	arrived []atomic.Int64
	// got has one item for each message that everybody has got.
	got chan struct{}
	// wrong has the first wrong delivery.
	wrong chan error
}

func newFan(send func(first uint64, messages, size int) error, p Params) *fan {
	burst := max(p.Burst, 1)
	way := burst * burstsOnTheirWay
	return &fan{
		send: send, size: p.Bytes, burst: burst, subscribers: p.Connections, limit: deliveryLimit,
		arrived: make([]atomic.Int64, way), got: make(chan struct{}, way), wrong: make(chan error, 1),
	}
}

// subscriber is what one client does with a delivery: it knows which has to come next.
func (f *fan) subscriber(i int) func([]byte) {
	var next uint64
	want := process.Payload(nil, next, f.size)
	return func(payload []byte) {
		if !bytes.Equal(payload, want) {
			select {
			case f.wrong <- fmt.Errorf("workload: subscriber %d: message %d has to come, and what came is %.200q", i, next, payload):
			default:
			}
			return
		}
		f.count(next)
		next++
		want = process.Payload(want[:0], next, f.size)
	}
}

// count counts the delivery of a message. Since nobody gets a message before the ones that precede it, messages
// are completed in their order; and the place of one that is complete is not used again before that was seen.
func (f *fan) count(seq uint64) {
	arrived := &f.arrived[seq%uint64(len(f.arrived))]
	if arrived.Add(1) == int64(f.subscribers) {
		arrived.Store(0)
		f.got <- struct{}{}
	}
}

// missing says which message has not reached everybody.
func (f *fan) missing() error {
	reached := f.arrived[f.complete%uint64(len(f.arrived))].Load()
	return fmt.Errorf("workload: message %d reached %d of %d subscribers", f.complete, reached, f.subscribers)
}

package redisbackplane

import (
	"context"
	"sync"

	"github.com/redis/rueidis"
)

// sender sends what is small and nobody waits for: ticks, resets, the answers to a
// close. All that has gathered goes in one pipeline.
type sender struct {
	s  *station
	wg sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	queue   []outgoing
	running bool
	closed  bool
}

type outgoing struct {
	hubID string
	text  string
	end   *end // lost if it cannot be sent; may be nil
}

const sendAtMost = 1024

// post queues a message. Over the bound it is dropped: what it would have told
// shows to the other side as silence.
func (o *sender) post(m outgoing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	if len(o.queue) >= sendAtMost {
		o.s.b.counters.dropped.Add(1)
		return
	}
	o.queue = append(o.queue, m)
	if !o.running {
		o.running = true
		o.wg.Go(o.run)
	}
}

// run lives only while there is something to send.
func (o *sender) run() {
	for {
		o.mu.Lock()
		batch := o.queue
		o.queue = nil
		if len(batch) == 0 {
			o.running = false
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()
		o.send(batch)
	}
}

func (o *sender) send(batch []outgoing) {
	b := o.s.b
	if b.reach.check() != nil {
		return // the links are being reset already, or will be for the silence
	}
	cmds := make([]rueidis.Completed, len(batch))
	for i, m := range batch {
		cmds[i] = b.publish(m.hubID, m.text)
	}
	ctx, cancel := b.reach.bound(context.Background())
	defer cancel()
	for i, a := range b.client.DoMulti(ctx, cmds...) {
		n, err := a.AsInt64()
		err = b.reach.judge(context.Background(), err)
		if err == nil && n == 0 {
			err = errNobody
		}
		if err != nil && batch[i].end != nil {
			batch[i].end.lose(err, false)
		}
	}
}

// close sends what waits, and takes nothing more.
func (o *sender) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.wg.Wait()
}

package redisbackplane

import (
	"context"
	"errors"
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
	owed    []outgoing // resets that Redis has not taken; the wheel retries them
	running bool
	closed  bool
}

type outgoing struct {
	hubID string
	text  string
	end   *end // lost if it cannot be sent; may be nil
	keep  bool // retried until Redis takes it
}

const sendAtMost = 1024

// post queues a message. Over the bound it is dropped, and the other side finds silence; a reset for one of this
// hub's ends is always taken, since the other side of an idle link would find nothing.
func (o *sender) post(m outgoing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	if !m.keep && len(o.queue) >= sendAtMost {
		o.s.b.counters.dropped.Add(1)
		return
	}
	o.queue = append(o.queue, m)
	o.startLocked()
}

func (o *sender) startLocked() {
	if !o.running {
		o.running = true
		o.wg.Go(o.run)
	}
}

// owe keeps a message that Redis has not taken, up to one for each end that a hub can have.
func (o *sender) owe(m outgoing) {
	o.mu.Lock()
	kept := !o.closed && len(o.owed) < endsAtMost
	if kept {
		o.owed = append(o.owed, m)
	}
	o.mu.Unlock()
	if !kept {
		o.s.b.counters.dropped.Add(1)
		return
	}
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	o.s.wheelLocked()
}

// owes reports whether Redis has not taken all resets.
func (o *sender) owes() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.owed) > 0
}

// retry sends the resets that Redis has not taken, unless Redis is known to be down.
func (o *sender) retry() {
	if o.s.b.reach.check() != nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.owed) == 0 || o.closed {
		return
	}
	o.queue, o.owed = append(o.queue, o.owed...), nil
	o.startLocked()
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
	if b.reach.check() != nil { // ticks are not missed: their links are being reset, or will be for the silence
		for _, m := range batch {
			if m.keep {
				o.owe(m)
			}
		}
		return
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
		switch m := batch[i]; {
		case err == nil:
		case m.keep && !errors.Is(err, errNobody) && !refused(err):
			o.owe(m)
		case m.end != nil:
			m.end.lose(err)
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

package redisbackplane

import (
	"context"
	"errors"
	"sync"

	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/internal/drainer"
)

// sender sends what is small and no caller waits for: ticks, resets, the answers to a close. Messages that wait
// together go in one pipeline.
type sender struct {
	s     *station
	queue *drainer.Queue[outgoing]

	mu   sync.Mutex // guards the field below
	owed []outgoing // resets that Redis has not taken; the wheel retries them
}

type outgoing struct {
	hubID string
	text  string
	end   *end // lost if it cannot be sent; may be nil
	keep  bool // retried until Redis takes it
}

const sendAtMost = 1024

func newSender(s *station) *sender {
	o := &sender{s: s}
	o.queue = drainer.New(o, drainer.Options{Limit: sendAtMost, Batch: sendAtMost})
	return o
}

// post queues a message. Over the limit, or after close, it is dropped, and the other side finds silence; a reset for one
// of this hub's ends has no limit, since the other side of an idle link would find nothing.
func (o *sender) post(m outgoing) {
	var err error
	if m.keep {
		err = o.queue.Add(m)
	} else {
		err = o.queue.TryAdd(m, 1)
	}
	if err != nil {
		o.s.b.counters.dropped.Add(1)
	}
}

// owe keeps a message that Redis has not taken, up to one for each end that a hub can have.
func (o *sender) owe(m outgoing) {
	o.mu.Lock()
	kept := len(o.owed) < endsAtMost
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
	owed := o.owed
	o.owed = nil
	o.mu.Unlock()
	for _, m := range owed {
		o.post(m)
	}
}

// Handle implements [drainer.Handler].
func (o *sender) Handle(batch []outgoing) {
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

// close sends what waits. What Redis does not take is dropped.
func (o *sender) close() {
	o.queue.Close()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.s.b.counters.dropped.Add(uint64(len(o.owed)))
	o.owed = nil
}

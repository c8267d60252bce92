package pubsub

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
)

// queue is the untyped part of a subscription: what a target puts in, bounded,
// until the reader takes it. It starts no goroutine.
type queue struct {
	ctx    context.Context // Subscribe's, kept because it also bounds the life
	policy Policy
	ready  chan struct{} // a token when a waiting reader should look again
	done   chan struct{} // closed with ended

	mu      sync.Mutex // guards the fields below
	events  backlog
	readers int // readers that wait
	ended   bool
	err     error    // why it ended, nil after Stop
	undo    []func() // to be called when it ends
	dropped uint64
	gaps    uint64
}

func newQueue(ctx context.Context, config subscribeConfig) *queue {
	return &queue{
		ctx:    ctx,
		policy: config.policy,
		ready:  make(chan struct{}, 1),
		done:   make(chan struct{}),
		undo:   make([]func(), 0, 3), // as many as listen adds
		events: backlog{maxEvents: config.events, maxBytes: config.bytes},
	}
}

// listen fills the queue from target until it ends.
func (q *queue) listen(ctx context.Context, target EventTarget, topic string) error {
	stop, err := target.Listen(ctx, topic, q.put)
	if err != nil {
		return err
	}
	q.onEnd(stop)
	unwatch := context.AfterFunc(ctx, func() { q.end(context.Cause(ctx), false) })
	q.onEnd(func() { unwatch() })
	if target, ok := target.(CloseNotifier); ok {
		forget := target.AfterClose(func() { q.end(ErrClosed, true) })
		q.onEnd(func() { forget() })
	}
	return nil
}

// onEnd has fn called when the queue ends, at once if it has.
func (q *queue) onEnd(fn func()) {
	q.mu.Lock()
	ended := q.ended
	if !ended {
		q.undo = append(q.undo, fn)
	}
	q.mu.Unlock()
	if ended {
		fn()
	}
}

// put is the listener: it never waits.
func (q *queue) put(ev Event) {
	if ev.End != nil {
		q.end(fmt.Errorf("pubsub: the subscription to %q has ended: %w", ev.Topic, ev.End), true)
		return
	}
	q.mu.Lock()
	if q.ended {
		q.mu.Unlock()
		return
	}
	if ev.Gap {
		q.events.lose(ev.Dropped)
		q.dropped += uint64(max(0, ev.Dropped))
	} else if !q.pushLocked(ev.Payload) {
		q.mu.Unlock()
		q.end(ErrSlowConsumer, true)
		return
	}
	q.wakeLocked()
	q.mu.Unlock()
}

// pushLocked appends an event as the policy says; false means the end.
func (q *queue) pushLocked(payload json.RawMessage) bool {
	if !q.events.fits(len(payload)) {
		switch q.policy {
		case EndSubscription:
			q.dropped++
			return false
		case DropNewest:
			q.dropped++
			q.events.lose(1)
			return true
		}
		for !q.events.fits(len(payload)) {
			q.dropped++
			q.events.loseOldest()
		}
	}
	q.events.push(payload)
	return true
}

// wakeLocked sends one waiting reader to look.
func (q *queue) wakeLocked() {
	if q.readers == 0 {
		return
	}
	select {
	case q.ready <- struct{}{}:
	default: // a token is there already
	}
}

// next waits for an event or a loss. The error is the cause of ctx, or why the
// queue ended, with ErrClosed after Stop.
func (q *queue) next(ctx context.Context) (json.RawMessage, loss, error) {
	for {
		if q.ctx.Err() != nil {
			q.end(context.Cause(q.ctx), false) // AfterFunc may come late
		}
		q.mu.Lock()
		if ctx.Err() != nil {
			if !q.events.empty() {
				q.wakeLocked() // this reader leaves, perhaps with another's token
			}
			q.mu.Unlock()
			return nil, loss{}, context.Cause(ctx)
		}
		payload, lost, ok := q.takeLocked()
		if ok {
			q.mu.Unlock()
			return payload, lost, nil
		}
		if q.ended {
			err := q.err
			q.mu.Unlock()
			if err == nil {
				err = ErrClosed
			}
			return nil, loss{}, err
		}
		q.waitLocked(ctx)
		q.mu.Unlock()
	}
}

// waitLocked returns when it may be worth to look again. It drops the lock
// meanwhile.
func (q *queue) waitLocked(ctx context.Context) {
	q.readers++
	q.mu.Unlock()
	select {
	case <-q.ready:
	case <-q.done:
	case <-ctx.Done():
	}
	q.mu.Lock()
	q.readers--
}

func (q *queue) takeLocked() (json.RawMessage, loss, bool) {
	payload, lost, ok := q.events.pop()
	if lost.some {
		q.gaps++
	}
	if !q.events.empty() {
		q.wakeLocked() // one token may stand for several events
	}
	return payload, lost, ok
}

// end ends the queue; only the first call sets the reason. With keep the reader
// still gets what is buffered.
func (q *queue) end(err error, keep bool) {
	q.mu.Lock()
	if !keep {
		q.events.clear()
	}
	if q.ended {
		q.mu.Unlock()
		return
	}
	q.ended, q.err = true, err
	undo := q.undo
	q.undo = nil
	close(q.done)
	q.mu.Unlock()
	for _, fn := range undo {
		fn()
	}
}

func (q *queue) reason() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.err
}

func (q *queue) counts() (dropped, gaps uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped, q.gaps
}

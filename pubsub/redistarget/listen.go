package redistarget

import (
	"context"
	"strconv"
	"sync"

	"github.com/alkdev/hubspoke/pubsub"
)

// admission is one call of Listen on its way to be live.
type admission struct {
	target *Target
	topic  string
	fn     func(pubsub.Event)
	ready  chan struct{} // closed when it is live, or has failed

	mu       sync.Mutex // guards the fields below
	stop     func()     // set when it is live
	err      error
	settled  bool
	canceled bool
}

// admit makes the listener live from this place in the order on. What is in the
// inbox already is not for it.
func (a *admission) admit() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.canceled || a.settled {
		return
	}
	a.settled = true
	inbox, from := a.target.inbox, a.target.inbox.now()
	fn := func(ev pubsub.Event) {
		// Called by the inbox' goroutine alone.
		if inbox.current >= from {
			a.target.call("a listener of "+strconv.Quote(a.topic), func() { a.fn(ev) })
		}
	}
	a.stop, a.err = a.target.local.Listen(context.Background(), a.topic, fn)
	close(a.ready)
}

func (a *admission) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.settled {
		a.settled, a.err = true, err
		close(a.ready)
	}
}

// cancel keeps fn from being called.
func (a *admission) cancel() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.canceled = true
	if a.stop != nil {
		a.stop()
	}
}

// Listen implements [pubsub.EventTarget]. It subscribes with the first listener
// of a topic and returns when Redis has confirmed.
//
// While the link is known to be down it returns at once: the
// listener hears the events of this target, gets a gap when Redis is back, and
// then everybody's. Where Redis does not answer, the link is down after Options.Timeout.
//
// Besides those of the interface the error may be what Redis says where it
// refuses the subscription.
func (t *Target) Listen(ctx context.Context, topic string, fn func(pubsub.Event)) (stop func(), err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err := pubsub.ValidTopic(topic); err != nil {
		return nil, err
	}
	if fn == nil {
		return nil, pubsub.ErrNoListener
	}
	a := &admission{target: t, topic: topic, fn: fn, ready: make(chan struct{})}
	in, err := t.join(a)
	if err != nil {
		return nil, err
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			a.cancel()
			t.leave(in, a)
		})
	}
	select {
	case <-a.ready:
		err = a.err
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

func (t *Target) join(a *admission) (*interest, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, pubsub.ErrClosed
	}
	in := t.interestLocked(a.topic)
	in.listeners++
	in.waiting = append(in.waiting, a)
	if !in.live && !in.asking && (in.link == nil && t.router.homeless || in.link != nil && in.link.state.Load() == linkDown) {
		in.degradeLocked()
	}
	in.refused = false
	t.settleLocked(in)
	return in, nil
}

// leave takes a listener out, and with the last one the topic.
func (t *Target) leave(in *interest, a *admission) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	in.listeners--
	for i, other := range in.waiting {
		if other == a {
			in.waiting = append(in.waiting[:i], in.waiting[i+1:]...)
			break
		}
	}
	t.settleLocked(in)
}

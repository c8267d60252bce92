package wstarget

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/pubsub"
)

// Fanout is what the endpoints of a hub share: it listens to the core once for each topic, encodes each event once for all
// of them, and writes what they are sent. All methods may be called concurrently.
type Fanout struct {
	core      pubsub.EventTarget
	log       *zerolog.Logger
	malformed *atomic.Uint64
	flushers  *flushers

	mu     sync.Mutex // guards the map and every audience.users
	topics map[string]*audience
}

// NewFanout returns a fan-out of the core's events. A payload of the core that is not JSON, which another program may
// have published there, is logged and counted in malformed; its subscribers get a gap.
func NewFanout(core pubsub.EventTarget, log *zerolog.Logger, malformed *atomic.Uint64) *Fanout {
	return &Fanout{core: core, log: log, malformed: malformed, flushers: newFlushers(), topics: make(map[string]*audience)}
}

// Topics returns how many topics have a subscriber.
func (f *Fanout) Topics() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.topics)
}

// Wait returns when no goroutine of the fan-out is left. It is called after the sessions of all endpoints have ended.
func (f *Fanout) Wait() { f.flushers.Close() }

// audience is the members of one topic, and its listener at the core.
type audience struct {
	topic  string
	fanout *Fanout
	users  int           // members, and joins in progress
	ready  chan struct{} // closed when the core has answered
	stop   func()        // the listener's; set before ready is closed
	err    error         // likewise

	mu      sync.Mutex
	members []*membership // guarded by mu; appended to, otherwise replaced
}

// join makes m a member of the topic. If the error is nil, events reach it from now on. The first member of a topic waits
// for the core, the others wait for the first until ctx ends.
func (f *Fanout) join(ctx context.Context, topic string, m *membership) (*audience, error) {
	f.mu.Lock()
	a := f.topics[topic]
	first := a == nil
	if first {
		a = &audience{topic: topic, fanout: f, ready: make(chan struct{})}
		f.topics[topic] = a
	}
	a.users++
	f.mu.Unlock()
	if first {
		a.listen(context.WithoutCancel(ctx)) // others may be waiting for it
	}
	select {
	case <-a.ready:
	case <-ctx.Done():
		a.release()
		return nil, context.Cause(ctx)
	}
	if a.err != nil {
		return nil, a.err
	}
	a.mu.Lock()
	a.members = append(a.members, m) // past the end of what deliver has read
	a.mu.Unlock()
	return a, nil
}

// listen listens to the core for all members. If it fails, the topic is free for the next attempt.
func (a *audience) listen(ctx context.Context) {
	if a.stop, a.err = a.fanout.core.Listen(ctx, a.topic, a.deliver); a.err != nil {
		a.fanout.mu.Lock()
		delete(a.fanout.topics, a.topic)
		a.fanout.mu.Unlock()
	}
	close(a.ready)
}

// remove ends a membership: no event is delivered to it from now on, but one that is being delivered. The caller releases
// the audience afterwards.
func (a *audience) remove(m *membership) {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.Index(a.members, m)
	a.members = slices.Delete(slices.Clone(a.members), i, i+1)
}

// release counts a user less. The last one stops the listener, which is code of the core: no lock may be held.
func (a *audience) release() {
	f := a.fanout
	f.mu.Lock()
	a.users--
	last := a.users == 0 && f.topics[a.topic] == a
	if last {
		delete(f.topics, a.topic)
	}
	f.mu.Unlock()
	if last {
		a.stop() // ready is closed: until then the first member is a user
	}
}

// deliver is the listener.
func (a *audience) deliver(ev pubsub.Event) {
	a.mu.Lock()
	members := a.members
	a.mu.Unlock()
	if ev.Gap {
		for _, m := range members {
			m.endpoint.gap(a.topic, ev.Dropped)
		}
		return
	}
	out := peer.LostEvent(a.topic)
	if a.fanout.check(ev) {
		out = peer.NewEvent(a.topic, ev.Payload)
	}
	for _, m := range members {
		if p := m.endpoint.peer; m.sees(ev) && p.PostEvent(&out) {
			_ = a.fanout.flushers.Add(p.Session()) // fails only after Wait, when all sessions have ended
		}
	}
}

// check returns false for a payload that the core should not have delivered: a spoke would close its connection. A Local
// has checked it.
func (f *Fanout) check(ev pubsub.Event) bool {
	if _, local := f.core.(*pubsub.Local); local {
		return true
	}
	err := pubsub.ValidPayload(ev.Payload)
	if err != nil {
		f.malformed.Add(1)
		f.log.Warn().Err(err).Str("topic", ev.Topic).Msg("event dropped")
	}
	return err == nil
}

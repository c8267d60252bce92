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
	listens   sync.WaitGroup // calls of the core's Listen

	mu     sync.Mutex // guards the map
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

// Wait returns when no goroutine of the fan-out is left. It is called after the endpoints of all sessions have been closed.
func (f *Fanout) Wait() {
	f.listens.Wait()
	f.flushers.Close()
}

// audience is the members of one topic, and its listener at the core. It is in Fanout.topics while it has members and the
// core has not failed.
type audience struct {
	topic  string
	fanout *Fanout
	cancel context.CancelFunc // ends the call of Listen

	mu      sync.Mutex    // guards the fields below; locked after Fanout.mu
	members []*membership // appended to, otherwise replaced
	live    bool          // the core listens: members receive events
	stop    func()        // the listener's, once Listen has returned
}

// join makes m a member of the topic. The first member makes the listener at the core. If live is false, the audience calls
// m.joined or m.failed when the core has answered. Otherwise events reach m from now on.
func (f *Fanout) join(topic string, m *membership) (a *audience, live bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a = f.topics[topic]
	if a == nil {
		ctx, cancel := context.WithCancel(context.Background())
		a = &audience{topic: topic, fanout: f, cancel: cancel}
		f.topics[topic] = a
		f.listens.Go(func() { a.listen(ctx) })
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.members = append(a.members, m) // past the end of what deliver has read
	return a, a.live
}

// listen listens to the core for all members, and answers those that wait. Its context ends when the last of them has
// left.
func (a *audience) listen(ctx context.Context) {
	defer a.cancel()
	stop, err := a.fanout.core.Listen(ctx, a.topic, a.deliver)
	waiting, left := a.listening(stop, err)
	if left && err == nil {
		stop()
	}
	for _, m := range waiting {
		if err == nil {
			m.joined()
		} else {
			m.failed(err)
		}
	}
}

// listening notes how Listen has ended, and returns the members that wait for that. If it has failed, the topic is free for
// the next attempt. left reports that there are no members.
func (a *audience) listening(stop func(), err error) (waiting []*membership, left bool) {
	f := a.fanout
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.topics[a.topic] != a {
		return nil, true
	}
	if err != nil {
		delete(f.topics, a.topic)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.live, a.stop = err == nil, stop
	return a.members, false
}

// remove ends a membership: no event is delivered to it from now on, but one that is being delivered. If it returns true,
// m was the last member, and the caller calls release.
func (a *audience) remove(m *membership) (last bool) {
	f := a.fanout
	f.mu.Lock()
	defer f.mu.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	if i := slices.Index(a.members, m); i >= 0 {
		a.members = slices.Delete(slices.Clone(a.members), i, i+1)
	}
	last = len(a.members) == 0 && f.topics[a.topic] == a
	if last {
		delete(f.topics, a.topic)
	}
	return last
}

// release ends what the last member leaves: the call of Listen, or the listener. That is code of the core: no lock may be
// held. A nil audience has nothing to end.
func (a *audience) release() {
	if a == nil {
		return
	}
	a.cancel()
	a.mu.Lock()
	stop := a.stop
	a.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// end takes the end of the subscription at the core, for all members. The topic is free for the next attempt.
func (a *audience) end(err error) {
	f := a.fanout
	f.mu.Lock()
	if f.topics[a.topic] == a {
		delete(f.topics, a.topic)
	}
	a.mu.Lock()
	members := a.members
	a.mu.Unlock()
	f.mu.Unlock()
	for _, m := range members {
		m.failed(err)
	}
}

// deliver is the listener.
func (a *audience) deliver(ev pubsub.Event) {
	a.mu.Lock()
	var members []*membership
	if a.live {
		members = a.members
	}
	a.mu.Unlock()
	if ev.End != nil {
		a.end(ev.End)
		return
	}
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

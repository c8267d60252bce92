package hub

import (
	"context"
	"slices"
	"sync"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/pubsub/wstarget"
)

// fanout holds one listener on the core per topic, with the spokes that have
// subscribed to it. The frame of an event is made once.
type fanout struct {
	core pubsub.EventTarget
	seen func(pubsub.Event) func(*call.Identity) bool // nil shows everything to everyone
	// unchecked takes the error of a payload that the core should not have delivered.
	unchecked func(topic string, err error)

	mu     sync.Mutex // guards the map and every topicMembers.users
	topics map[string]*topicMembers
}

type topicMembers struct {
	topic string
	all   *fanout
	seen  func(pubsub.Event) func(*call.Identity) bool // nil: see fanout
	users int                                          // who has joined or is about to
	ready chan struct{}                                // closed when the core has answered
	stop  func()                                       // set before ready is closed
	err   error                                        // likewise

	mu      sync.Mutex
	members []*wstarget.Endpoint // guarded by mu; appended to, never changed otherwise
}

var _ wstarget.Fanout = (*fanout)(nil)

// Join implements [wstarget.Fanout]. The first of a topic listens at the core,
// under a context of its own: others may be waiting for the same.
func (f *fanout) Join(ctx context.Context, topic string, e *wstarget.Endpoint) error {
	f.mu.Lock()
	t := f.topics[topic]
	first := t == nil
	if first {
		t = &topicMembers{topic: topic, all: f, ready: make(chan struct{})}
		if _, ok := presenceTopic(topic); ok {
			t.seen = f.seen
		}
		if f.topics == nil {
			f.topics = make(map[string]*topicMembers)
		}
		f.topics[topic] = t
	}
	t.users++
	f.mu.Unlock()
	if first {
		t.stop, t.err = f.core.Listen(context.WithoutCancel(ctx), topic, t.deliver)
		if t.err != nil {
			f.mu.Lock()
			delete(f.topics, topic)
			f.mu.Unlock()
		}
		close(t.ready)
	}
	select {
	case <-t.ready:
	case <-ctx.Done():
		f.drop(t)
		return ctx.Err()
	}
	if t.err != nil {
		return t.err
	}
	t.mu.Lock()
	t.members = append(t.members, e) // who delivers now does not look beyond what there was
	t.mu.Unlock()
	return nil
}

// Leave implements [wstarget.Fanout].
func (f *fanout) Leave(topic string, e *wstarget.Endpoint) {
	f.mu.Lock()
	t := f.topics[topic]
	f.mu.Unlock()
	if t == nil {
		return
	}
	t.mu.Lock()
	i := slices.Index(t.members, e)
	if i >= 0 {
		t.members = slices.Delete(slices.Clone(t.members), i, i+1)
	}
	t.mu.Unlock()
	if i >= 0 {
		f.drop(t)
	}
}

// drop counts one user less; the last one stops the listener.
func (f *fanout) drop(t *topicMembers) {
	f.mu.Lock()
	t.users--
	last := t.users == 0 && f.topics[t.topic] == t
	if last {
		delete(f.topics, t.topic)
	}
	f.mu.Unlock()
	if !last {
		return
	}
	select {
	case <-t.ready:
		t.stop()
	default: // whoever listens for the topic is not done; that one is counted as a user
	}
}

// deliver is the core's listener: it makes the frame and hands it to everyone.
func (t *topicMembers) deliver(ev pubsub.Event) {
	t.mu.Lock()
	members := t.members
	t.mu.Unlock()
	if len(members) == 0 {
		return
	}
	if ev.Gap {
		for _, m := range members {
			m.DeliverGap(t.topic, ev.Dropped)
		}
		return
	}
	if t.seen != nil {
		may := t.seen(ev)
		members = slices.DeleteFunc(slices.Clone(members), func(m *wstarget.Endpoint) bool {
			return !may(connOf(m).who())
		})
	}
	if err := t.all.check(ev); err != nil {
		t.all.unchecked(t.topic, err)
		for _, m := range members {
			lose(m, t.topic)
		}
		return
	}
	depth := newNesting(ev.Payload)
	frame := wire.AppendEvent(make([]byte, 0, len(ev.Payload)+len(t.topic)+32), t.topic, ev.Payload)
	for _, m := range members {
		if depth.over(connOf(m).peer.MaxDepth()) {
			lose(m, t.topic)
			continue
		}
		m.Deliver(t.topic, frame)
	}
}

// lose reports a gap of one to a member in place of an event.
func lose(m *wstarget.Endpoint, topic string) { connOf(m).sendEvent(topic, nil) }

// connOf returns the spoke whose endpoint m is: newConn makes all of them.
func connOf(m *wstarget.Endpoint) *conn { return (*conn)(m.Outlet().(*outlet)) }

// check holds what the core delivers to the rule for payloads, once for all members: other programs may publish
// there, and a spoke would close its connection. A Local has checked it.
func (f *fanout) check(ev pubsub.Event) error {
	if _, local := f.core.(*pubsub.Local); local {
		return nil
	}
	return pubsub.ValidPayload(ev.Payload)
}

// nesting is how deep a payload is nested, measured when a member's limit makes that necessary.
type nesting struct {
	payload []byte
	atMost  int
	exact   bool
}

func newNesting(payload []byte) nesting {
	return nesting{payload: payload, atMost: len(payload) / 2} // each level has two brackets
}

func (n *nesting) over(limit int) bool {
	if n.atMost > limit && !n.exact {
		n.atMost, n.exact = jsonscan.Depth(n.payload), true
	}
	return n.atMost > limit
}

// topicsNow is how many topics have a listener.
func (f *fanout) topicsNow() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.topics)
}

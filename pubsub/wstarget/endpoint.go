package wstarget

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/pubsub"
)

// DefaultMaxTopics is how many topics one spoke may be subscribed to by default.
const DefaultMaxTopics = 10_000

// Endpoint is the hub's end of one session: the topics that the spoke has subscribed to. Whether the spoke may subscribe
// is for the hub to decide, before it calls Subscribe; what the spoke publishes does not pass here. All methods may be called
// concurrently.
type Endpoint struct {
	fanout    *Fanout
	peer      *peer.Peer
	maxTopics int
	joins     sync.WaitGroup

	mu     sync.Mutex // guards the fields below and every membership, and orders the answers
	topics map[string]*membership
	ctx    context.Context // of the joins; made with the first one, and ended by Close
	cancel context.CancelFunc
	ended  string // why there are no subscriptions any more; see EndSubscriptions
	closed bool
}

// membership is the subscription of a spoke to one topic:
//
//	         Subscribe            join ends
//	(none) ─────────────► joining ─────────► live ──► (none)
//	                       │   ▲                Unsubscribe
//	           Unsubscribe ▼   │ Subscribe
//	                      unwanted ──► (none)
//	                               join ends
//
// A Subscribe while joining is answered when the join ends, together with the first one.
type membership struct {
	endpoint *Endpoint
	visible  func(pubsub.Event) bool // nil: every event
	audience *audience               // nil until it is live
	wanted   bool
}

func (m *membership) live() bool { return m.audience != nil }

func (m *membership) sees(ev pubsub.Event) bool { return m.visible == nil || m.visible(ev) }

// NewEndpoint returns the hub's end of the peer's session. maxTopics bounds the topics of the spoke; 0 is
// [DefaultMaxTopics].
func (f *Fanout) NewEndpoint(p *peer.Peer, maxTopics int) *Endpoint {
	if maxTopics <= 0 {
		maxTopics = DefaultMaxTopics
	}
	return &Endpoint{fanout: f, peer: p, maxTopics: maxTopics}
}

// Subscribe takes a subscription of the spoke, and answers it when it is live or has failed. If visible is not nil, the spoke
// receives only the events for which it returns true. It is called for each event, must not block, and may be called
// concurrently.
func (e *Endpoint) Subscribe(topic string, visible func(pubsub.Event) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	m := e.topics[topic]
	switch {
	case e.closed:
	case e.ended != "":
		e.denyLocked(topic, "UNAVAILABLE", e.ended)
	case m != nil && m.live():
		e.subscribedLocked(topic)
	case m != nil:
		m.wanted = true
	case len(e.topics) >= e.maxTopics:
		e.denyLocked(topic, "OVERLOADED", fmt.Sprintf("too many topics: limit %d (hub.Options.MaxTopics)", e.maxTopics))
	default:
		e.startJoinLocked(topic, &membership{endpoint: e, visible: visible, wanted: true})
	}
}

func (e *Endpoint) startJoinLocked(topic string, m *membership) {
	if e.topics == nil {
		e.topics = make(map[string]*membership)
		e.ctx, e.cancel = context.WithCancel(context.Background())
	}
	e.topics[topic] = m
	ctx := e.ctx
	e.joins.Go(func() {
		a, err := e.fanout.join(ctx, topic, m)
		if !e.joined(topic, m, a, err) && err == nil {
			a.release()
		}
	})
}

// joined notes how a join has ended. It returns false if the spoke is no member.
func (e *Endpoint) joined(topic string, m *membership, a *audience, err error) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil && m.wanted && e.ended == "" && !e.closed {
		m.audience = a
		e.subscribedLocked(topic)
		return true
	}
	delete(e.topics, topic)
	switch {
	case err == nil:
		a.remove(m)
		if m.wanted && !e.closed {
			e.denyLocked(topic, "UNAVAILABLE", e.ended)
		}
	case m.wanted && !e.closed:
		e.denyLocked(topic, "UNAVAILABLE", err.Error())
	}
	return false
}

// Unsubscribe takes the end of a subscription.
func (e *Endpoint) Unsubscribe(topic string) {
	if a := e.remove(topic); a != nil {
		a.release()
	}
}

// remove ends a membership that is live, and returns its audience, which the caller releases. If it is not live, it ends
// with its join.
func (e *Endpoint) remove(topic string) *audience {
	e.mu.Lock()
	defer e.mu.Unlock()
	m := e.topics[topic]
	if m == nil || !m.live() {
		if m != nil {
			m.wanted = false
		}
		return nil
	}
	delete(e.topics, topic)
	m.audience.remove(m)
	return m.audience
}

// Topics returns the topics that the spoke has subscribed to.
func (e *Endpoint) Topics() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Keys(e.topics))
}

// Deny sends the spoke a refusal.
func (e *Endpoint) Deny(d *Denial) {
	_ = e.peer.Post(wire.AppendDenied(nil, d.Action, d.Topic, d.Code, d.Message)) // fails only if the session has ended
}

func (e *Endpoint) denyLocked(topic, code, message string) {
	e.Deny(&Denial{ActionSubscribe, topic, code, message})
}

func (e *Endpoint) subscribedLocked(topic string) {
	_ = e.peer.Post(wire.AppendTopic(nil, wire.Subscribed, topic)) // fails only if the session has ended
}

func (e *Endpoint) gap(topic string, dropped int) {
	_ = e.peer.Post(wire.AppendGap(nil, topic, dropped)) // fails only if the session has ended
}

// EndSubscriptions ends all subscriptions for good: these and all later ones are denied with UNAVAILABLE and the reason,
// which must not be empty.
func (e *Endpoint) EndSubscriptions(reason string) {
	e.mu.Lock()
	var ended []*audience
	if !e.closed && e.ended == "" {
		e.ended = reason
		ended = e.removeAllLocked()
		for _, a := range ended {
			e.denyLocked(a.topic, "UNAVAILABLE", reason)
		}
	}
	e.mu.Unlock()
	releaseAll(ended)
}

// Close ends all subscriptions without an answer, and waits for the joins in progress to end. It must not be called on a
// reader.
func (e *Endpoint) Close() {
	e.mu.Lock()
	e.closed = true
	ended := e.removeAllLocked()
	if e.cancel != nil {
		e.cancel()
	}
	e.mu.Unlock()
	releaseAll(ended)
	e.joins.Wait()
}

// removeAllLocked ends every membership that is live, and returns their audiences, which the caller releases after it has
// unlocked. The others end with their joins.
func (e *Endpoint) removeAllLocked() (ended []*audience) {
	for topic, m := range e.topics {
		if m.live() {
			delete(e.topics, topic)
			m.audience.remove(m)
			ended = append(ended, m.audience)
		}
	}
	return ended
}

func releaseAll(ended []*audience) {
	for _, a := range ended {
		a.release()
	}
}

package wstarget

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/alkdev/hubspoke/call"
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

	mu     sync.Mutex // guards the fields below and every membership, and orders the answers; locked before Fanout.mu
	topics map[string]*membership
	ended  string // why there are no subscriptions any more; see EndSubscriptions
	closed bool
}

// membership is the subscription of a spoke to one topic:
//
//	         Subscribe          the core listens
//	(none) ─────────────► joining ─────────► live ──► (none)
//	                       │   ▲                Unsubscribe
//	           Unsubscribe ▼   │ Subscribe
//	                      unwanted ──► (none)
//	                             the core has answered
//
// A Subscribe while joining is answered when the core has answered, together with the first one. One that is unwanted counts
// for the limit, so that a spoke cannot make the hub call Listen without bound.
type membership struct {
	endpoint *Endpoint
	visible  func(pubsub.Event) bool // nil: every event
	audience *audience
	live     bool
	wanted   bool
}

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
		e.denyLocked(topic, call.CodeUnavailable, e.ended)
	case m != nil && m.live:
		e.subscribedLocked(topic)
	case m != nil:
		m.wanted = true
	case len(e.topics) >= e.maxTopics:
		e.denyLocked(topic, call.CodeOverloaded, fmt.Sprintf("too many topics: limit %d (hub.Options.MaxTopics)", e.maxTopics))
	default:
		e.joinLocked(topic, &membership{endpoint: e, visible: visible, wanted: true})
	}
}

func (e *Endpoint) joinLocked(topic string, m *membership) {
	if e.topics == nil {
		e.topics = make(map[string]*membership)
	}
	e.topics[topic] = m
	if m.audience, m.live = e.fanout.join(topic, m); m.live {
		e.subscribedLocked(topic)
	}
}

// joined notes that the core listens. The spoke is a member unless it no longer wants to be one.
func (m *membership) joined() {
	e := m.endpoint
	e.mu.Lock()
	var unused *audience
	switch {
	case e.topics[m.audience.topic] != m: // ended meanwhile
	case m.wanted:
		m.live = true
		e.subscribedLocked(m.audience.topic)
	default:
		unused = e.removeLocked(m)
	}
	e.mu.Unlock()
	unused.release()
}

// failed ends a membership, for which the core does not listen, or no longer.
func (m *membership) failed(err error) {
	e := m.endpoint
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.topics[m.audience.topic] == m {
		e.removeLocked(m)
		if m.wanted {
			e.denyLocked(m.audience.topic, call.CodeUnavailable, err.Error())
		}
	}
}

// Unsubscribe takes the end of a subscription. If the core has not answered, the membership ends when it has.
func (e *Endpoint) Unsubscribe(topic string) {
	e.mu.Lock()
	var unused *audience
	if m := e.topics[topic]; m != nil {
		m.wanted = false
		if m.live {
			unused = e.removeLocked(m)
		}
	}
	e.mu.Unlock()
	unused.release()
}

// removeLocked ends a membership. If it was the last one of its audience, it returns the audience, which the caller releases
// after it has unlocked.
func (e *Endpoint) removeLocked(m *membership) (unused *audience) {
	delete(e.topics, m.audience.topic)
	if m.audience.remove(m) {
		return m.audience
	}
	return nil
}

// Topics returns the topics that the spoke has subscribed to.
func (e *Endpoint) Topics() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Keys(e.topics))
}

// DenySubscribe sends the spoke the refusal or the end of a subscription.
func (e *Endpoint) DenySubscribe(topic string, refusal *call.Error) {
	e.deny(wire.ActionSubscribe, topic, refusal)
}

// DenyPublish sends the spoke the refusal of an event that it has published.
func (e *Endpoint) DenyPublish(topic string, refusal *call.Error) {
	e.deny(wire.ActionPublish, topic, refusal)
}

func (e *Endpoint) deny(action, topic string, refusal *call.Error) {
	_ = e.peer.Post(wire.AppendDenied(nil, action, topic, string(refusal.Code), refusal.Message)) // fails only if the session has ended
}

func (e *Endpoint) denyLocked(topic string, code call.Code, message string) {
	e.DenySubscribe(topic, &call.Error{Code: code, Message: message})
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
	var unused []*audience
	if !e.closed && e.ended == "" {
		e.ended = reason
		for topic, m := range e.topics {
			unused = append(unused, e.removeLocked(m))
			if m.wanted {
				e.denyLocked(topic, call.CodeUnavailable, reason)
			}
		}
	}
	e.mu.Unlock()
	releaseAll(unused)
}

// Close ends all subscriptions without an answer. It does not wait for the core.
func (e *Endpoint) Close() {
	e.mu.Lock()
	e.closed = true
	var unused []*audience
	for _, m := range e.topics {
		unused = append(unused, e.removeLocked(m))
	}
	e.mu.Unlock()
	releaseAll(unused)
}

func releaseAll(unused []*audience) {
	for _, a := range unused {
		a.release()
	}
}

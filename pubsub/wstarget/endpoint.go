package wstarget

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/pubsub"
)

// Fanout is where an endpoint's subscriptions are joined: a hub's one listener
// per topic, with its members.
type Fanout interface {
	// Join makes e a member of the topic. When it returns nil the membership is
	// live. It may wait.
	Join(ctx context.Context, topic string, e *Endpoint) error
	// Leave ends it. It never waits; no event is delivered to e after it, but one
	// that is under way.
	Leave(topic string, e *Endpoint)
}

// Outlet is the hub's way to one spoke. Its methods never wait.
type Outlet interface {
	// Control sends a control frame. It keeps frame.
	Control(frame []byte)
	// Event sends an event, within the spoke's budget for events. frame is the
	// encoded frame, shared with other spokes.
	Event(topic string, frame []byte)
	// Gap tells that events of a topic are missing.
	Gap(topic string, dropped int)
}

// EndpointOptions say how the hub's end works. All are needed but Allow and MaxTopics.
type EndpointOptions struct {
	Fanout Fanout
	Outlet Outlet
	// Publish takes what the spoke publishes, on the reader: it must not wait. A
	// *Denial is told to the spoke.
	Publish func(ev pubsub.Event) *Denial
	// Allow refuses a subscription; nil allows every one.
	Allow func(topic string) *Denial
	// MaxTopics bounds the topics; 0 is 10,000.
	MaxTopics int
}

// DefaultMaxTopics is how many topics one spoke may be subscribed to.
const DefaultMaxTopics = 10_000

// Endpoint is the hub's end: it holds what the spoke has subscribed to, as a
// small state machine per topic, and takes what the spoke publishes. It is also an
// event target: Dispatch sends to the spoke, Listen hears the spoke's events.
//
//	         __subscribe            Join done
//	(none) ──────────────► joining ──────────► live ──► (none)
//	                          │ __unsubscribe             __unsubscribe: Leave
//	                          ▼
//	                       unwanted ──► (none)   Join done: Leave
//
// A __subscribe while joining is answered by the same answer; while unwanted it makes the topic wanted again.
type Endpoint struct {
	opts  EndpointOptions
	local pubsub.Local // the spoke's events, for Listen
	wg    sync.WaitGroup

	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	mu     sync.Mutex // guards the fields below
	topics map[string]*membership
	ended  string // why there are no subscriptions any more; see EndSubscriptions
	closed bool
}

type membership struct{ live, wanted bool }

// NewEndpoint makes the hub's end of a session.
func NewEndpoint(o EndpointOptions) *Endpoint {
	if o.MaxTopics <= 0 {
		o.MaxTopics = DefaultMaxTopics
	}
	return &Endpoint{opts: o}
}

var _ pubsub.EventTarget = (*Endpoint)(nil)

// Dispatch sends an event to the spoke, whether it has subscribed or not. Within
// the spoke's budget; over it the spoke is told of a gap.
func (e *Endpoint) Dispatch(ctx context.Context, ev pubsub.Event) error {
	if err := checkTopic(ev.Topic); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	e.mu.Lock()
	closed := e.closed
	e.mu.Unlock()
	if closed {
		return pubsub.ErrClosed
	}
	if ev.Gap {
		e.opts.Outlet.Gap(ev.Topic, ev.Dropped)
		return nil
	}
	if err := pubsub.ValidPayload(ev.Payload); err != nil {
		return err
	}
	e.opts.Outlet.Event(ev.Topic, wire.AppendEvent(nil, ev.Topic, ev.Payload))
	return e.local.Deliver(ev)
}

// Listen hears what the spoke publishes on the topic, and what Dispatch sends.
func (e *Endpoint) Listen(ctx context.Context, topic string, fn func(pubsub.Event)) (stop func(), err error) {
	return e.local.Listen(ctx, topic, fn)
}

// Deliver sends a frame that was made for all members of a topic. The fan-out
// calls it; it never waits.
func (e *Endpoint) Deliver(topic string, frame []byte) { e.opts.Outlet.Event(topic, frame) }

// DeliverGap tells the spoke of events that no member got.
func (e *Endpoint) DeliverGap(topic string, dropped int) { e.opts.Outlet.Gap(topic, dropped) }

// Published takes an event frame of the spoke, on the reader. It copies payload.
func (e *Endpoint) Published(topic string, payload []byte) {
	ev := pubsub.Event{Topic: topic}
	if payload != nil {
		ev.Payload = append([]byte(nil), payload...)
	}
	e.mu.Lock()
	closed := e.closed
	e.mu.Unlock()
	if closed {
		return
	}
	if d := e.opts.Publish(ev); d != nil {
		e.Deny(d)
		return
	}
	_ = e.local.Deliver(ev) // fails only when closed
}

// Deny sends the spoke a refusal.
func (e *Endpoint) Deny(d *Denial) { e.opts.Outlet.Control(d.frame()) }

// Control takes a well-formed control frame of the spoke, on the reader. It reports whether it was one of events.
func (e *Endpoint) Control(m *wire.Message) bool {
	switch m.Type {
	case wire.Subscribe:
		e.subscribe(string(m.Topic))
	case wire.Unsubscribe:
		e.unsubscribe(string(m.Topic))
	default:
		return false
	}
	return true
}

func (e *Endpoint) subscribe(topic string) {
	if err := pubsub.ValidTopic(topic); err != nil {
		e.Deny(&Denial{ActionSubscribe, topic, "VALIDATION_ERROR", err.Error()})
		return
	}
	if e.opts.Allow != nil {
		if d := e.opts.Allow(topic); d != nil {
			e.Deny(d)
			return
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	m := e.topics[topic]
	switch {
	case e.closed:
	case e.ended != "":
		e.denySubscriptionLocked(topic)
	case m != nil && m.live:
		e.opts.Outlet.Control(wire.AppendTopic(nil, wire.Subscribed, topic))
	case m != nil:
		m.wanted = true
	case len(e.topics) >= e.opts.MaxTopics:
		e.Deny(&Denial{ActionSubscribe, topic, "OVERLOADED", fmt.Sprintf("too many topics: limit %d (hub.Options.MaxTopics)", e.opts.MaxTopics)})
	default:
		e.startJoinLocked(topic)
	}
}

func (e *Endpoint) startJoinLocked(topic string) {
	if e.topics == nil {
		e.topics = make(map[string]*membership)
		e.ctx, e.cancel = context.WithCancel(context.Background())
	}
	m := &membership{wanted: true}
	e.topics[topic] = m
	ctx := e.ctx
	e.wg.Go(func() {
		err := e.opts.Fanout.Join(ctx, topic, e)
		e.joined(topic, m, err)
	})
}

func (e *Endpoint) joined(topic string, m *membership, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed || err == nil && (!m.wanted || e.ended != ""):
		if err == nil {
			e.opts.Fanout.Leave(topic, e)
		}
		delete(e.topics, topic)
		if !e.closed && m.wanted {
			e.denySubscriptionLocked(topic)
		}
	case err != nil:
		delete(e.topics, topic)
		if m.wanted {
			e.Deny(&Denial{ActionSubscribe, topic, "UNAVAILABLE", err.Error()})
		}
	default:
		m.live = true
		e.opts.Outlet.Control(wire.AppendTopic(nil, wire.Subscribed, topic))
	}
}

func (e *Endpoint) unsubscribe(topic string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	m := e.topics[topic]
	switch {
	case m == nil:
	case m.live:
		delete(e.topics, topic)
		e.opts.Fanout.Leave(topic, e)
	default:
		m.wanted = false
	}
}

// Outlet gives the way to the spoke.
func (e *Endpoint) Outlet() Outlet { return e.opts.Outlet }

// Recheck asks Allow again for every topic, and ends and denies those that are
// not allowed any more.
func (e *Endpoint) Recheck() {
	if e.opts.Allow == nil {
		return
	}
	e.mu.Lock()
	topics := slices.Collect(maps.Keys(e.topics))
	e.mu.Unlock()
	for _, topic := range topics {
		if d := e.opts.Allow(topic); d != nil {
			e.unsubscribe(topic)
			e.Deny(d)
		}
	}
}

// EndSubscriptions ends all subscriptions for good: these and all later ones are denied with UNAVAILABLE and the
// reason. What the spoke publishes is still taken, until Close.
func (e *Endpoint) EndSubscriptions(reason string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.ended != "" {
		return
	}
	e.ended = reason
	for topic, m := range e.topics {
		if m.live { // the others are denied when their join has ended
			delete(e.topics, topic)
			e.opts.Fanout.Leave(topic, e)
			e.denySubscriptionLocked(topic)
		}
	}
}

func (e *Endpoint) denySubscriptionLocked(topic string) {
	e.Deny(&Denial{ActionSubscribe, topic, "UNAVAILABLE", e.ended})
}

// Topics is how many topics the spoke is subscribed to.
func (e *Endpoint) Topics() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.topics)
}

// Close ends all subscriptions and waits for joins that are under way to see
// that. It must not be called on the reader's callbacks.
func (e *Endpoint) Close() {
	e.mu.Lock()
	if !e.closed {
		e.closed = true
		for topic, m := range e.topics {
			if m.live {
				e.opts.Fanout.Leave(topic, e)
				delete(e.topics, topic)
			}
		}
		if e.cancel != nil {
			e.cancel()
		}
		e.local.Close()
	}
	e.mu.Unlock()
	e.wg.Wait()
}

// AfterClose implements [pubsub.CloseNotifier].
func (e *Endpoint) AfterClose(fn func()) (stop func() bool) { return e.local.AfterClose(fn) }

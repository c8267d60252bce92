package hub

import (
	"bytes"
	"context"
	"fmt"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/pubsub/wstarget"
)

// events is the core as the embedding program sees it.
type events struct{ hub *Hub }

func (e events) Dispatch(ctx context.Context, ev pubsub.Event) error {
	if wire.Reserved(ev.Topic) {
		return fmt.Errorf("%w: %q is reserved", pubsub.ErrInvalidTopic, ev.Topic)
	}
	if e := e.hub.checkPayload(ev); e != nil {
		return e
	}
	e.hub.published.Add(1)
	return e.hub.core.Dispatch(ctx, ev)
}

// checkPayload refuses what a spoke could not be sent, or what is nested deeper than this hub takes.
func (h *Hub) checkPayload(ev pubsub.Event) *call.Error {
	if ev.Gap || len(ev.Payload) == 0 {
		return nil
	}
	if err := jsonscan.Check(ev.Payload, h.opts.MaxDepth); err != nil {
		return &call.Error{Code: call.CodeValidation, Message: "the payload " + err.Error(), Cause: fmt.Errorf("%w: it %w", pubsub.ErrInvalidPayload, err)}
	}
	return nil
}

func (e events) Listen(ctx context.Context, topic string, fn func(pubsub.Event)) (stop func(), err error) {
	if wire.Reserved(topic) {
		return nil, fmt.Errorf("%w: %q is reserved", pubsub.ErrInvalidTopic, topic)
	}
	if fn != nil {
		fn = wstarget.Guard(&e.hub.log, &e.hub.counters, fn)
	}
	return e.hub.core.Listen(ctx, topic, fn)
}

// AfterClose implements [pubsub.CloseNotifier] where the core does.
func (e events) AfterClose(fn func()) (stop func() bool) {
	if n, ok := e.hub.core.(pubsub.CloseNotifier); ok {
		return n.AfterClose(fn)
	}
	return func() bool { return true }
}

// MayPublish reports whether the identity may publish on the topic: ACCESS_DENIED for reserved topics and by the
// [Authorizer], VALIDATION_ERROR for an invalid topic.
func (h *Hub) MayPublish(id *call.Identity, topic string) error {
	if e := h.mayPublish(id, topic); e != nil {
		return e
	}
	return nil
}

// MaySubscribe reports likewise whether the identity may subscribe to the topic. To subscribe for an identity, listen at
// [Hub.EventsAs].
func (h *Hub) MaySubscribe(id *call.Identity, topic string) error {
	if e := h.maySubscribe(id, topic); e != nil {
		return e
	}
	return nil
}

// maySubscribe is MaySubscribe. To subscribe to the presence of one spoke, the identity must be allowed to see that spoke.
func (h *Hub) maySubscribe(id *call.Identity, topic string) *call.Error {
	if err := pubsub.ValidTopic(topic); err != nil {
		return &call.Error{Code: call.CodeValidation, Message: err.Error(), Cause: err}
	}
	if wire.Reserved(topic) {
		return &call.Error{Code: call.CodeAccessDenied, Message: "the topic " + topic + " is reserved", Cause: pubsub.ErrInvalidTopic}
	}
	if e := h.allow(id, Subscribe, topic); e != nil {
		return e
	}
	if spokeID, ok := presenceTopic(topic); ok && spokeID != "" {
		return h.allow(id, List, spokeID)
	}
	return nil
}

// EventsAs is [Hub.Events] for an identity: publishing and subscribing fail with an [*call.Error] where the identity may
// not, and of presence it receives only events of the spokes that it may see. A nil identity is the embedding program, which is
// unrestricted, except that it may not publish on topics that begin with "hub.".
func (h *Hub) EventsAs(id *call.Identity) pubsub.EventTarget { return eventsAs{events{h}, id} }

type eventsAs struct {
	events
	id *call.Identity
}

func (e eventsAs) Dispatch(ctx context.Context, ev pubsub.Event) error {
	if err := e.hub.MayPublish(e.id, ev.Topic); err != nil {
		return err
	}
	return e.events.Dispatch(ctx, ev)
}

func (e eventsAs) Listen(ctx context.Context, topic string, fn func(pubsub.Event)) (stop func(), err error) {
	if err := e.hub.MaySubscribe(e.id, topic); err != nil {
		return nil, err
	}
	if fn == nil {
		return nil, pubsub.ErrNoListener
	}
	return e.events.Listen(ctx, topic, func(ev pubsub.Event) {
		if e.hub.maySee(e.id, ev) {
			fn(ev)
		}
	})
}

func (h *Hub) mayPublish(id *call.Identity, topic string) *call.Error {
	if err := pubsub.ValidTopic(topic); err != nil {
		return &call.Error{Code: call.CodeValidation, Message: err.Error(), Cause: err}
	}
	if wire.Reserved(topic) || reservedTopic(topic) {
		return &call.Error{Code: call.CodeAccessDenied, Message: "the topic " + topic + " is reserved", Cause: pubsub.ErrInvalidTopic}
	}
	return h.allow(id, Publish, topic)
}

// publishAsync publishes without waiting, in the order of the calls; failed is
// called, on whatever goroutine, if that did not work.
func (h *Hub) publishAsync(ev pubsub.Event, failed func(error)) {
	h.published.Add(1)
	h.publisher.publish(ev, failed)
}

// subscribe takes a subscription of the spoke.
func (c *conn) subscribe(topic string) {
	if e := c.maySubscribe(topic); e != nil {
		c.events.DenySubscribe(topic, e)
		return
	}
	var visible func(pubsub.Event) bool
	if _, ok := presenceTopic(topic); ok && c.hub.opts.Authorize != nil {
		visible = func(ev pubsub.Event) bool { return c.hub.maySee(c.who(), ev) }
	}
	c.events.Subscribe(topic, visible)
}

func (c *conn) maySubscribe(topic string) *call.Error {
	err := c.hub.maySubscribe(c.who(), topic)
	if err != nil && err.Code == call.CodeAccessDenied && wire.Reserved(topic) {
		err.Message = "the topic is reserved" // __denied names it
	}
	return err
}

// recheckSubscriptions ends and denies the subscriptions that the spoke's identity no longer permits.
func (c *conn) recheckSubscriptions() {
	for _, topic := range c.events.Topics() {
		if e := c.maySubscribe(topic); e != nil {
			c.events.Unsubscribe(topic)
			c.events.DenySubscribe(topic, e)
		}
	}
}

// Event implements [peer.Side]: it publishes an event of the spoke. One that is nested deeper than the hub accepts is
// refused.
func (c *conn) Event(topic string, payload []byte, err error) {
	if err != nil {
		c.events.DenyPublish(topic, &call.Error{Code: call.CodeValidation, Message: "the payload " + err.Error()})
		return
	}
	if e := c.hub.mayPublish(c.who(), topic); e != nil {
		c.events.DenyPublish(topic, e)
		return
	}
	c.hub.publishAsync(pubsub.Event{Topic: topic, Payload: bytes.Clone(payload)}, func(err error) {
		c.events.DenyPublish(topic, &call.Error{Code: call.CodeUnavailable, Message: err.Error()})
	})
}

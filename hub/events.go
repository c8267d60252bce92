package hub

import (
	"context"
	"fmt"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/pubsub"
)

// events is the core as the embedding program sees it.
type events struct{ hub *Hub }

func (e events) Dispatch(ctx context.Context, ev pubsub.Event) error {
	if reservedFrame(ev.Topic) {
		return fmt.Errorf("%w: %q is reserved", pubsub.ErrInvalidTopic, ev.Topic)
	}
	if !call.ValidPayload(ev.Payload) {
		return &call.Error{Code: call.CodeValidation, Message: "the payload is not JSON"}
	}
	e.hub.published.Add(1)
	return e.hub.core.Dispatch(ctx, ev)
}

func (e events) Listen(ctx context.Context, topic string, fn func(pubsub.Event)) (stop func(), err error) {
	if reservedFrame(topic) {
		return nil, fmt.Errorf("%w: %q is reserved", pubsub.ErrInvalidTopic, topic)
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

// MayPublish says whether the identity may publish on the topic: ACCESS_DENIED
// for reserved topics and by the [Authorizer], VALIDATION_ERROR for what is no topic.
func (h *Hub) MayPublish(id *call.Identity, topic string) error {
	if e := h.mayPublish(id, topic); e != nil {
		return e
	}
	return nil
}

// MaySubscribe says likewise whether the identity may subscribe to the topic.
func (h *Hub) MaySubscribe(id *call.Identity, topic string) error {
	if err := pubsub.ValidTopic(topic); err != nil {
		return &call.Error{Code: call.CodeValidation, Message: err.Error()}
	}
	if reservedFrame(topic) {
		return &call.Error{Code: call.CodeAccessDenied, Message: "the topic " + topic + " is reserved"}
	}
	if e := h.allow(id, Subscribe, topic); e != nil {
		return e
	}
	return nil
}

func (h *Hub) mayPublish(id *call.Identity, topic string) *call.Error {
	if err := pubsub.ValidTopic(topic); err != nil {
		return &call.Error{Code: call.CodeValidation, Message: err.Error()}
	}
	if reservedFrame(topic) || reservedTopic(topic) {
		return &call.Error{Code: call.CodeAccessDenied, Message: "the topic " + topic + " is reserved"}
	}
	return h.allow(id, Publish, topic)
}

// publishAsync publishes without waiting, in the order of the calls; failed is
// called, on whatever goroutine, if that did not work.
func (h *Hub) publishAsync(ev pubsub.Event, failed func(error)) {
	h.published.Add(1)
	h.publisher.publish(ev, failed)
}

package pubsub

import (
	"context"
	"encoding/json"
	"fmt"
)

// Topic joins a name to the Go type of what is published under it. It is a plain
// value: keep it in a package variable, copy it, use it from any goroutine.
type Topic[T any] struct {
	name string
}

// NewTopic returns the topic with this name. A name that [ValidTopic] refuses
// is reported by Publish and Subscribe, not here.
func NewTopic[T any](name string) Topic[T] {
	return Topic[T]{name: name}
}

// Name returns the topic that events for id travel under: the topic's name, and
// with an id that is not empty a colon and the id behind it.
func (t Topic[T]) Name(id string) string {
	if id == "" {
		return t.name
	}
	return t.name + ":" + id
}

// Publish encodes v as JSON, once, and dispatches it under [Topic.Name](id). v is
// not used after Publish has returned. ctx bounds the waiting, as for
// [EventTarget.Dispatch], whose errors come back wrapped; v that cannot be
// encoded is an error too, and then nothing is published.
func (t Topic[T]) Publish(ctx context.Context, target EventTarget, id string, v T) error {
	topic := t.Name(id)
	payload, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("pubsub: encode an event of %q: %w", topic, err)
	}
	if err := target.Dispatch(ctx, Event{Topic: topic, Payload: payload}); err != nil {
		return fmt.Errorf("pubsub: publish on %q: %w", topic, err)
	}
	return nil
}

// Subscribe asks target for the events under [Topic.Name](id). The subscription
// is live when Subscribe returns: what is published after that arrives, or is
// counted as dropped.
//
// ctx bounds the waiting of Subscribe and then the life of the subscription: when
// it ends, the subscription ends as with [Subscription.Stop], and
// [Subscription.Err] gives its cause. A subscription must be ended by one or the
// other, or the target keeps it. The errors are those of [EventTarget.Listen],
// wrapped.
func (t Topic[T]) Subscribe(ctx context.Context, target EventTarget, id string, opts ...SubscribeOption) (*Subscription[T], error) {
	config := newSubscribeConfig(opts)
	q := newQueue(ctx, config)
	topic := t.Name(id)
	if err := q.listen(ctx, target, topic); err != nil {
		return nil, fmt.Errorf("pubsub: subscribe to %q: %w", topic, err)
	}
	return &Subscription[T]{queue: q, topic: topic, onGap: config.onGap}, nil
}

package hub_test

import (
	"context"

	"github.com/alkdev/hubspoke/pubsub"
)

// settled is a subscriber that lets arrive what its publisher has dispatched
// before it listens: the suite's model takes it that a listener hears nothing older, which holds only
// where delivery is immediate.
type settled struct {
	pubsub.EventTarget
	publisher pubsub.EventTarget
}

func (s settled) Listen(ctx context.Context, topic string, fn func(pubsub.Event)) (stop func(), err error) {
	if ctx.Err() == nil {
		if err := s.settle(ctx); err != nil {
			return nil, err
		}
	}
	return s.EventTarget.Listen(ctx, topic, fn)
}

func (s settled) settle(ctx context.Context) error {
	const fence = "settled.fence"
	arrived := make(chan struct{}, 1)
	stop, err := s.EventTarget.Listen(ctx, fence, func(pubsub.Event) {
		select {
		case arrived <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return err
	}
	defer stop()
	if err := s.publisher.Dispatch(ctx, pubsub.Event{Topic: fence}); err != nil {
		return err
	}
	select {
	case <-arrived:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

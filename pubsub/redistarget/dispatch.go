package redistarget

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/pubsub"
)

var errGap = errors.New("redistarget: a gap cannot be published")

// Dispatch implements [pubsub.EventTarget]. It publishes and waits for the reply
// of Redis, at most Options.Timeout; publishes that are made at the same time
// travel together. The error may be an [*UnavailableError], [ErrQueueFull] where it has to wait
// behind [Target.DispatchAsync], or what Redis or the serializer says.
//
// An event whose Gap is set is refused: a Redis message has no place for it.
func (t *Target) Dispatch(ctx context.Context, ev pubsub.Event) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	message, err := t.encode(ev)
	if err != nil {
		return err
	}
	if t.waiting.Load() > 0 {
		if result := t.laneOf(ev.Topic).follow(t, ev, message); result != nil {
			select {
			case err := <-result:
				return err
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	command := t.publication(t.opts.Prefix+ev.Topic, rueidis.BinaryString(message))
	l := t.linkOf(command.Slot())
	if err := t.dispatchLocally(l, ev); err != nil {
		return err
	}
	bounded := t.deadline.bound(ctx)
	err = t.publisherOf(l).Do(bounded, command).Error()
	bounded.release()
	return t.outcome(ctx, l, err)
}

// encode checks an event and makes its message.
func (t *Target) encode(ev pubsub.Event) ([]byte, error) {
	if err := pubsub.ValidTopic(ev.Topic); err != nil {
		return nil, err
	}
	if t.closing.Err() != nil {
		return nil, pubsub.ErrClosed
	}
	if ev.Gap {
		return nil, errGap
	}
	if err := pubsub.ValidPayload(ev.Payload); err != nil {
		return nil, err
	}
	message, err := t.opts.Serializer.Encode(ev.Payload)
	if err != nil {
		return nil, fmt.Errorf("redistarget: encode an event of %q: %w", ev.Topic, err)
	}
	return message, nil
}

func (t *Target) publication(channel, message string) rueidis.Completed {
	if t.sharded {
		return t.client.B().Spublish().Channel(channel).Message(message).Build()
	}
	return t.client.B().Publish().Channel(channel).Message(message).Build()
}

// linkOf is the link that hears a slot's channels, nil where there is none yet.
func (t *Target) linkOf(slot uint16) *link {
	if t.router == nil {
		return t.only
	}
	return t.router.linkOf(slot)
}

// publisherOf is where events of a link's topics are published. A plain link of a
// cluster publishes on the node that it hears, because the way from node to node would not keep the
// order between nodes; all others leave it to the client.
func (t *Target) publisherOf(l *link) rueidis.Client {
	if l != nil {
		if home := l.home.Load(); home != nil {
			return *home
		}
	}
	return t.client
}

// dispatchLocally hands the event to this target's listeners if the link is
// known to be down, and then returns the error for the publisher.
func (t *Target) dispatchLocally(l *link, ev pubsub.Event) error {
	if l == nil || l.state.Load() != linkDown {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	// Under the lock, so that a local event never comes behind one that was
	// published after the link has come back.
	if l.state.Load() != linkDown {
		return nil
	}
	t.counters.localOnly.Add(1)
	t.inbox.event(ev)
	return &UnavailableError{Local: true, Err: l.reason}
}

// outcome turns what rueidis says of a publish into what the publisher is told.
func (t *Target) outcome(ctx context.Context, l *link, err error) error {
	if err == nil {
		t.counters.published.Add(1)
		return nil
	}
	t.counters.failed.Add(1)
	refusal, refused := rueidis.IsRedisErr(err)
	if refused && !elsewhere(refusal) {
		return fmt.Errorf("redistarget: publish: %w", err)
	}
	if !refused && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if l != nil {
		l.doubt()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %s: %w", t.opts.Timeout, err)
	}
	return &UnavailableError{Err: err}
}

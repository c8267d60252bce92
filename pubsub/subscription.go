package pubsub

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"sync/atomic"
)

// Subscription is a live subscription to one topic, made by [Topic.Subscribe].
// Events wait in it, undecoded and bounded, until they are read with All or Next.
//
// All methods may be called concurrently. With several readers each event goes
// to one of them, and OnGap may be called in any.
//
// It ends when a loop over All is left, when Stop is called, when the context of
// Subscribe ends, when its policy is [EndSubscription] and its reader falls behind, when
// the target ends it, or when a target that is a [CloseNotifier] closes. In the last three
// cases what is buffered can still be read.
type Subscription[T any] struct {
	queue   *queue
	topic   string
	onGap   func(dropped int)
	invalid atomic.Uint64
}

// All yields the events as they arrive. Leaving the loop ends the subscription, as
// [Subscription.Stop] does; use [Subscription.Next] to read some events now and others later.
//
// An event that cannot be decoded is an element with an error that matches [ErrDecode], in its
// place; a loop that continues after it gets the events behind it. If the subscription ends by
// itself, the last element is its error, as [Subscription.Err] returns it. After Stop the loop ends
// without an error.
func (s *Subscription[T]) All() iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		defer s.Stop() // also if the body panics or ends its goroutine
		for {
			v, undecoded, ended := s.next(context.Background())
			if ended != nil {
				if err := s.Err(); err != nil {
					yield(v, err)
				}
				return
			}
			if !yield(v, undecoded) {
				return
			}
		}
	}
}

// Next waits for the next event. When ctx has ended it returns the cause, and
// the event stays for the next call. For an event that cannot be decoded it returns an error that
// matches [ErrDecode]; the next call reads the event behind it. When the subscription has ended it
// returns [Subscription.Err], or [ErrClosed] where that is nil.
func (s *Subscription[T]) Next(ctx context.Context) (T, error) {
	v, undecoded, ended := s.next(ctx)
	if ended != nil {
		return v, ended
	}
	return v, undecoded
}

// next is Next with two errors: that of one event, and why there is none.
func (s *Subscription[T]) next(ctx context.Context) (v T, undecoded, ended error) {
	for {
		payload, lost, err := s.queue.next(ctx)
		switch {
		case err != nil:
			return v, nil, err
		case !lost.some:
			v, err = s.decode(payload)
			return v, err, nil
		case s.onGap != nil:
			s.onGap(lost.dropped())
		}
	}
}

// decode counts a payload that is no T.
func (s *Subscription[T]) decode(payload json.RawMessage) (T, error) {
	var v, zero T
	if len(payload) == 0 {
		payload = json.RawMessage("null")
	}
	if err := json.Unmarshal(payload, &v); err != nil {
		s.invalid.Add(1)
		return zero, fmt.Errorf("%w of %q: %w", ErrDecode, s.topic, err)
	}
	return v, nil
}

// Stop ends the subscription and drops what is buffered. It waits for nothing,
// may be called from anywhere, OnGap and the body of a range over All included,
// and any number of times.
func (s *Subscription[T]) Stop() { s.queue.end(nil, false) }

// Err returns why the subscription ended: nil while it has not and after Stop,
// [ErrSlowConsumer], [ErrClosed] when the target closed, the target's reason when it
// ended the subscription, wrapped, or the cause of the context that Subscribe was given.
func (s *Subscription[T]) Err() error { return s.queue.reason() }

// Dropped returns how many events are known to be lost: dropped for a full
// buffer, or reported by the target with a number.
func (s *Subscription[T]) Dropped() uint64 {
	dropped, _ := s.queue.counts()
	return dropped
}

// Gaps returns how many gaps the reader has come past: how often OnGap was
// called, or would have been. Losses next to each other are one gap.
func (s *Subscription[T]) Gaps() uint64 {
	_, gaps := s.queue.counts()
	return gaps
}

// Invalid returns how many events could not be decoded into a T, which the
// readers got as [ErrDecode].
func (s *Subscription[T]) Invalid() uint64 { return s.invalid.Load() }

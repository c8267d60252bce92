package pubsub

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/internal/bubble"
)

// Readers that give up while others wait leave no event lying: every event is
// read by somebody, and everybody is woken.
func TestQueueManyReaders(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const events, readers = 300, 4
		var local Local
		sub := subscribe(t.Context(), t, &local)
		var got atomic.Int64
		var reading sync.WaitGroup
		for reader := range readers {
			reading.Go(func() {
				for {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+reader)*time.Millisecond)
					_, err := sub.Next(ctx)
					cancel()
					switch {
					case err == nil:
						got.Add(1)
					case errors.Is(err, ErrClosed):
						return
					}
				}
			})
		}
		for i := range events {
			publish(t, &local, i)
			if i%10 == 0 {
				<-time.After(time.Millisecond) // virtual: the readers' time-outs fall between
			}
		}
		synctest.Wait()
		if got.Load() != events {
			t.Errorf("%d of %d events were read", got.Load(), events)
		}
		sub.Stop()
		reading.Wait()
	})
}

// A reader that is woken and leaves all the same wakes another.
func TestQueuePassesTheTokenOn(t *testing.T) {
	for range 50 { // it depends on who runs first
		bubble.Test(t, func(t *testing.T) {
			var local Local
			sub := subscribe(t.Context(), t, &local)
			leaves, leave := context.WithCancel(t.Context())
			var got atomic.Int64
			read := func(ctx context.Context) {
				if _, err := sub.Next(ctx); err == nil {
					got.Add(1)
				}
			}
			go read(leaves) // waits first, so it is woken first
			synctest.Wait()
			go read(t.Context())
			synctest.Wait()
			publish(t, &local, 1)
			leave()
			synctest.Wait()
			if got.Load() != 1 {
				t.Fatal("the event lies there while a reader waits")
			}
			sub.Stop()
		})
	}
}

// lateTarget sends before Listen returns, and ends the subscription there.
type lateTarget struct {
	Local
	before func(fn func(Event))
}

func (l *lateTarget) Listen(ctx context.Context, topic string, fn func(Event)) (func(), error) {
	stop, err := l.Local.Listen(ctx, topic, fn)
	l.before(fn)
	return stop, err
}

// A subscription that ends before Listen has returned is still given up.
func TestQueueEndsInsideListen(t *testing.T) {
	target := &lateTarget{before: func(fn func(Event)) {
		for range 3 {
			fn(Event{Topic: "numbers", Payload: []byte("1")})
		}
	}}
	sub := subscribe(t.Context(), t, target, Buffer(2), OnFull(EndSubscription))
	if !errors.Is(sub.Err(), ErrSlowConsumer) {
		t.Errorf("Err: %v", sub.Err())
	}
	if target.topics != nil || target.hooks != nil {
		t.Error("the target still knows the subscription")
	}
}

// Publishing, reading, stopping and closing at the same time end without a
// reader that waits on.
func TestQueueEndsFromEverywhere(t *testing.T) {
	for range 20 {
		bubble.Test(t, func(t *testing.T) {
			var local Local
			ctx, cancel := context.WithCancel(t.Context())
			sub := subscribe(ctx, t, &local, Buffer(2), OnFull(EndSubscription))
			var all sync.WaitGroup
			all.Go(func() {
				for range sub.All() {
				}
			})
			all.Go(func() {
				for i := range 20 {
					_ = numbers.Publish(context.Background(), &local, "", i)
				}
			})
			all.Go(sub.Stop)
			all.Go(local.Close)
			all.Go(cancel)
			all.Wait()
			synctest.Wait() // for what the end of ctx set off
			if local.topics != nil || local.hooks != nil {
				t.Fatal("the target still knows the subscription")
			}
		})
	}
}

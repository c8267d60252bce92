package spoke_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
)

// Streams without end, in both directions, do not hold up a spoke that leaves.
func TestShutdownEndsStreams(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		cause := make(chan error, 2)
		ticks := func(ctx context.Context, _ any, send func(int) error) error {
			for i := 0; ; i++ {
				if err := send(i); err != nil {
					cause <- context.Cause(ctx)
					return err
				}
				<-time.After(time.Second)
			}
		}
		a := net.Spoke("a", nil, func(r *call.Registry) { must(t, call.HandleStream(r, call.Operation{Name: "a.ticks"}, ticks)) })
		b := net.Spoke("b", nil, func(r *call.Registry) { must(t, call.HandleStream(r, call.Operation{Name: "b.ticks"}, ticks)) })
		ends := make(chan error, 2)
		read := func(c call.Caller, op string) {
			for _, err := range call.Stream[int](t.Context(), c, op, nil) {
				if err != nil {
					ends <- err
				}
			}
		}
		go read(b, "a.ticks")
		go read(a, "b.ticks")
		<-time.After(time.Second)
		start := time.Now()
		if err := a.Shutdown(t.Context()); err != nil || time.Since(start) < 5*time.Second || time.Since(start) > 7*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		synctest.Wait()
		for range 2 {
			if err := <-ends; !errors.Is(err, call.CodeUnavailable) {
				t.Errorf("a reader: %v", err)
			}
		}
		if err := <-cause; !errors.Is(err, spoke.ErrDraining) {
			t.Errorf("a handler: %v", err)
		}
	})
}

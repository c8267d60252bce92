package hub_test

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

// Spokes finish what runs, then come back elsewhere; calls that they make
// meanwhile are refused, not lost.
func TestShutdownDrains(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		a := net.Spoke("a", nil, func(r *call.Registry) {
			registered(call.Handle(r, call.Operation{Name: "test.slow"}, func(context.Context, any) (string, error) { later(3 * time.Second); return "done", nil }))
		})
		b := net.Spoke("b", nil, nil)
		answers := make(chan error, 2)
		for _, c := range []call.Caller{net.Hub, b} {
			go func() {
				_, err := call.Invoke[string](t.Context(), c, "test.slow", nil)
				answers <- err
			}()
		}
		later(time.Second)
		start := time.Now()
		down := make(chan error, 1)
		go func() { down <- net.Hub.Shutdown(t.Context()) }()
		synctest.Wait()
		if _, err := call.Invoke[string](t.Context(), net.Hub, "test.slow", nil); !errors.Is(err, call.CodeUnavailable) {
			t.Error(err)
		}
		if _, err := call.Invoke[string](t.Context(), b, "test.slow", nil); !errors.Is(err, call.CodeUnavailable) {
			t.Error(err)
		}
		for range 2 {
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
		if err := <-down; err != nil || time.Since(start) > 2100*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if a.State() == spoke.Stopped || b.State() == spoke.Stopped {
			t.Error("a spoke does not come back")
		}
	})
}

func TestShutdownInsideAHandler(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		registered(call.Handle(net.Hub.Operations(), call.Operation{Name: "admin.shutdown"}, func(ctx context.Context, _ any) (any, error) {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			return nil, net.Hub.Shutdown(ctx)
		}))
		a := net.Spoke("a", nil, nil)
		start := time.Now()
		_, err := call.Invoke[any](t.Context(), a, "admin.shutdown", nil)
		if err == nil || time.Since(start) > 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// Somebody who has connected and says nothing does not hold up a shutdown.
func TestShutdownDoesNotWaitForTheSilent(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		conn, err := net.Dialer(nil).Dial(t.Context(), hubtest.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for err == nil {
				_, err = conn.Read()
			}
		}()
		synctest.Wait()
		start := time.Now()
		if err := net.Hub.Shutdown(t.Context()); err != nil || time.Since(start) > 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

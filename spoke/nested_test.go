package spoke_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
)

// A call that a handler makes carries its context and its id; who calls is the
// spoke that the handler runs on.
func TestNestedCalls(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		var inner, outer *call.Request
		ended := make(chan time.Duration, 1)
		start := time.Now()
		net.Spoke("b", nil, func(r *call.Registry) {
			registered(call.Handle(r, call.Operation{Name: "test.inner"}, func(ctx context.Context, _ any) (any, error) {
				inner = call.FromContext(ctx)
				<-ctx.Done()
				ended <- time.Since(start)
				return nil, ctx.Err()
			}))
		})
		a := net.Spoke("a", &spoke.Options{Dialer: net.Dialer(&call.Identity{ID: "worker"})}, nil)
		registered(call.Handle(a.Operations(), call.Operation{Name: "test.outer"}, func(ctx context.Context, _ any) (any, error) {
			outer = call.FromContext(ctx)
			return call.Invoke[any](ctx, a, "test.inner", nil)
		}))
		synctest.Wait()
		user := net.Spoke("u", &spoke.Options{Dialer: net.Dialer(&call.Identity{ID: "user"})}, nil)
		_, err := call.Invoke[any](t.Context(), user, "test.outer", nil, call.Timeout(2*time.Second),
			call.Metadata([]byte(`{"traceparent":"00-1"}`)))
		wantError(t, err, call.CodeTimeout, true)
		if took := <-ended; took != 2*time.Second {
			t.Errorf("the inner handler's context ended after %v", took)
		}
		if outer.Identity.ID != "user" || string(outer.Metadata) != `{"traceparent":"00-1"}` {
			t.Errorf("outer: %+v", outer)
		}
		if inner.Identity.ID != "worker" || inner.ParentID != "" {
			t.Errorf("inner: %+v", inner)
		}
	})
}

// A spoke that leaves finishes what it has asked for, also where that takes an answer of its own; and nothing else.
func TestShutdownWithNestedCalls(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		a := net.Spoke("a", nil, func(r *call.Registry) {
			must(t, call.Handle(r, call.Operation{Name: "a.op"}, func(ctx context.Context, _ any) (string, error) {
				req := call.FromContext(ctx)
				if req.ParentID == "" {
					t.Error("no parent")
				}
				return "from a", nil
			}))
		})
		b := net.Spoke("b", nil, nil)
		c := net.Spoke("c", nil, nil)
		must(t, call.Handle(b.Operations(), call.Operation{Name: "b.op"}, func(ctx context.Context, _ any) (string, error) {
			<-time.After(time.Second) // until a leaves
			if _, err := call.Invoke[string](ctx, c, "a.op", nil); !errors.Is(err, call.CodeUnavailable) {
				t.Errorf("over another spoke, which has no part in it: %v", err)
			}
			if _, err := call.Invoke[string](context.Background(), b, "a.op", nil); !errors.Is(err, call.CodeUnavailable) {
				t.Errorf("for itself: %v", err)
			}
			return call.Invoke[string](ctx, b, "a.op", nil)
		}))
		// Under this call c knows a request of the hub by the same id as b knows a's.
		must(t, call.Handle(c.Operations(), call.Operation{Name: "c.op"}, func(ctx context.Context, _ any) (string, error) {
			<-time.After(2 * time.Second)
			return "", nil
		}))
		synctest.Wait() // until the hub knows the operations
		go func() { _, _ = call.Invoke[string](t.Context(), b, "c.op", nil) }()
		answer := make(chan string, 1)
		go func() {
			out, err := call.Invoke[string](t.Context(), a, "b.op", nil)
			answer <- fmt.Sprint(out, err)
		}()
		synctest.Wait()
		start := time.Now()
		if err := a.Shutdown(t.Context()); err != nil || time.Since(start) > 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if got := <-answer; got != "from a<nil>" {
			t.Error(got)
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// registered checks that an operation was registered, where no test is at hand.
func registered(err error) {
	if err != nil {
		panic(err)
	}
}

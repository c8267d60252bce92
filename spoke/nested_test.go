package spoke_test

import (
	"context"
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
			_ = call.Handle(r, "test.inner", func(ctx context.Context, _ any) (any, error) {
				inner = call.FromContext(ctx)
				<-ctx.Done()
				ended <- time.Since(start)
				return nil, ctx.Err()
			})
		})
		a := net.Spoke("a", &spoke.Options{Dialer: net.Dialer(&call.Identity{ID: "worker"})}, nil)
		_ = call.Handle(a.Operations(), "test.outer", func(ctx context.Context, _ any) (any, error) {
			outer = call.FromContext(ctx)
			return call.Invoke[any](ctx, a, "test.inner", nil)
		})
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
		if inner.Identity.ID != "worker" || inner.ParentID != outer.ID {
			t.Errorf("inner: %+v, parent %s", inner, outer.ID)
		}
	})
}

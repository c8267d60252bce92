package spoke_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
)

// A request that is on its way to a spoke when Shutdown begins is refused as not run, so that another spoke answers it.
func TestRequestCrossesDrain(t *testing.T) {
	for _, others := range []bool{true, false} {
		bubble.Test(t, func(t *testing.T) {
			net := hubtest.New(t, nil)
			serve := func(r *call.Registry) {
				must(t, call.Handle(r, call.Operation{Name: "test.who"}, func(context.Context, any) (int, error) { return 1, nil }))
			}
			a := net.Spoke("a", nil, serve)
			if others {
				net.Spoke("b", nil, serve)
			}
			a.Wire.Delay(20 * time.Millisecond)
			const calls = 10 // of which a receives some
			done := make(chan error, calls)
			for range calls {
				go func() { _, err := call.Invoke[int](t.Context(), net.Hub, "test.who", nil); done <- err }()
			}
			later(5 * time.Millisecond) // the requests are on the wire
			if err := a.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			for range calls {
				err := <-done
				if others && err != nil {
					t.Error(err)
				}
				if e, ok := errors.AsType[*call.Error](err); !others && (!ok || e.Sent) {
					t.Errorf("%v", err)
				}
			}
		})
	}
}

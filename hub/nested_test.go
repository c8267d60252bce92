package hub_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
)

// A draining spoke answers a call that its own handler makes, whether it comes back directly or through another spoke,
// and whoever has called the handler.
func TestDrainingSpokeCallsItself(t *testing.T) {
	for _, caller := range []string{"hub", "other hub", "spoke", "spoke at the other hub", "itself"} {
		for _, inner := range []string{"test.inner", "test.items", "test.hop"} {
			t.Run(caller+" "+inner, func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					near, far := twoHubs(t)
					proceed := make(chan struct{})
					var a *hubtest.Spoke
					a = near.Spoke("a", nil, func(r *call.Registry) {
						must(t, call.Handle(r, call.Operation{Name: "test.inner"}, func(context.Context, any) (int, error) { return 1, nil }))
						must(t, call.HandleStream(r, call.Operation{Name: "test.items"}, func(_ context.Context, _ any, send func(int) error) error { return send(1) }))
						must(t, call.Handle(r, call.Operation{Name: "test.outer"}, func(ctx context.Context, _ any) (n int, err error) {
							<-proceed
							if inner != "test.items" {
								return call.Invoke[int](ctx, a, inner, nil)
							}
							for item, err := range call.Stream[int](ctx, a, inner, nil) {
								if err != nil {
									return 0, err
								}
								n += item
							}
							return n, nil
						}))
					})
					var hop *hubtest.Spoke
					hop = far.Spoke("hop", nil, func(r *call.Registry) {
						must(t, call.Handle(r, call.Operation{Name: "test.hop"}, func(ctx context.Context, _ any) (int, error) {
							return call.Invoke[int](ctx, hop, "test.inner", nil)
						}))
					})
					from := map[string]call.Caller{"hub": near.Hub, "other hub": far.Hub, "spoke": near.Spoke("b", nil, nil),
						"spoke at the other hub": far.Spoke("c", nil, nil), "itself": a}[caller]
					done := make(chan error, 2)
					go func() {
						n, err := call.Invoke[int](t.Context(), from, "test.outer", nil)
						if err == nil && n != 1 {
							t.Errorf("%d", n)
						}
						done <- err
					}()
					synctest.Wait()
					go func() { done <- a.Shutdown(t.Context()) }()
					synctest.Wait()
					close(proceed)
					for range 2 {
						if err := <-done; err != nil {
							t.Error(err)
						}
					}
				})
			})
		}
	}
}

package hub_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
)

// The error of a call that no spoke answers names the operation, the spoke, the limit, and the options that set it.
func TestMessagesOfRefusedCalls(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &hub.Options{AllowAnonymous: true, MaxInFlight: 1})
		serve := func(r *call.Registry) {
			must(t, call.Handle(r, call.Operation{Name: "test.wait"}, func(ctx context.Context, _ any) (any, error) { <-ctx.Done(); return nil, ctx.Err() }))
			must(t, call.Handle(r, call.Operation{Name: "test.deep"}, func(context.Context, any) (any, error) {
				return nil, &call.Error{Code: "CARD_DECLINED", Message: "no", Details: []byte(`{"a":[[[[1]]]]}`)}
			}))
		}
		one := net.Spoke("one", &spoke.Options{MaxInFlight: 1}, serve)
		want := func(c call.Caller, operation, text string, opts ...call.Option) {
			t.Helper()
			_, err := call.Invoke[any](t.Context(), c, operation, nil, opts...)
			e, ok := errors.AsType[*call.Error](err)
			if !ok || e.Message != text {
				t.Errorf("%s: %v, want %s", operation, err, text)
			}
		}
		const options = "(the smaller of spoke.Options.MaxInFlight and hub.Options.MaxSpokeInFlight)"
		want(net.Hub, "no.op", `operation "no.op" not found: no connected spoke serves it`)
		want(net.Hub, "no.op", `operation "no.op" not found: no connected spoke with these labels serves it`, call.Select(map[string]string{"a": "b"}))
		want(net.Hub, "no.op", `operation "no.op" not found: spoke one does not serve it`, call.To("one"))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		wait := func(c call.Caller, id string) {
			go func() { _, _ = call.Invoke[any](ctx, c, "test.wait", nil, call.To(id)) }()
			synctest.Wait()
		}
		wait(net.Hub, "one")
		want(net.Hub, "test.wait", "spoke one has too many calls in flight: limit 1 "+options)
		want(net.Hub, "test.wait", "spoke one has too many calls in flight: limit 1 "+options, call.To("one"))
		two := net.Spoke("two", &spoke.Options{MaxInFlight: 2}, serve)
		wait(net.Hub, "two")
		wait(net.Hub, "two")
		want(net.Hub, "test.wait", "all 2 spokes that serve test.wait have too many calls in flight: limits 1 to 2 "+options)
		cancel()
		synctest.Wait()
		ctx, cancel = context.WithCancel(t.Context())
		defer cancel()
		wait(one, "two")
		want(one, "hub.info", "hub "+net.Hub.ID()+" has too many calls in flight: limit 1 (for one spoke, hub.Options.MaxInFlight)")
		go func() { _ = two.Shutdown(t.Context()) }()
		synctest.Wait()
		want(net.Hub, "test.wait", "spoke two is draining and accepts no new calls", call.To("two"))
		cancel()
		synctest.Wait()
		_ = one.Shutdown(t.Context())
		reader := net.Spoke("reader", &spoke.Options{MaxDepth: 3}, nil)
		net.Spoke("three", nil, serve)
		want(reader, "test.deep", "the error details of test.deep: the JSON is nested deeper than 3 levels (maxDepth) at byte 7; the error was CARD_DECLINED: no")
	})
}

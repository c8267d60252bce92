package hub_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
)

// The type of an operation is found where it is served: at this hub, at its spokes, or at another hub.
func TestOperationType(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := &scriptedDirectory{}
		bp := &hub.Backplane{Directory: d, Links: &hub.MemoryLinks{}}
		a := hubtest.New(t, &hub.Options{ID: "hub-a", Backplane: bp})
		b := hubtest.New(t, &hub.Options{ID: "hub-b", Backplane: bp})
		// One operation has different types, which shows who was asked.
		serve := func(kinds map[string]call.Type) func(*call.Registry) {
			return func(r *call.Registry) {
				for name, typ := range kinds {
					registered(call.Handle(r, call.Operation{Name: name, Type: typ}, func(context.Context, json.RawMessage) (any, error) { return nil, nil }))
				}
				registered(call.HandleStream(r, call.Operation{Name: "test.stream"}, func(context.Context, any, func(any) error) error { return nil }))
			}
		}
		a.Spoke("on-a", nil, serve(map[string]call.Type{"test.both": call.Mutation, "test.here": call.Mutation}))
		b.Spoke("on-b", nil, serve(map[string]call.Type{"test.both": call.Query, "test.there": call.Mutation, "test.query": call.Query}))
		raw := rawSpoke(t, a.Hub, &call.Identity{ID: "x"}, `{"spokeId":"raw","operations":[{"name":"test.untyped"}]}`)
		defer raw.Abort()
		synctest.Wait()
		check := func(to, operation string, want call.Type) {
			t.Helper()
			if got := a.Hub.OperationType(t.Context(), to, operation); got != want {
				t.Errorf("to %q, %s: %q, want %q", to, operation, got, want)
			}
		}
		check("", "hub.publish", call.Mutation)
		check("on-a", "hub.publish", "") // the spoke does not serve it
		check("", "test.both", call.Mutation)
		check("on-a", "test.both", call.Mutation)
		check("on-b", "test.both", call.Query)
		check("nobody", "test.both", "")
		check("", "test.here", call.Mutation)
		check("on-b", "test.here", "")
		check("", "test.there", call.Mutation)
		check("on-b", "test.there", call.Mutation)
		check("on-a", "test.there", "")
		check("", "test.query", call.Query)
		check("", "test.stream", call.Subscription)
		check("", "test.untyped", call.Query)
		check("", "test.nowhere", "")
		check("", "test.ther", "")

		must(t, d.Provide(t.Context(), "hub-gone", "test.query")) // the other one is asked
		for range 20 {
			check("", "test.query", call.Query)
		}
		d.mu.Lock()
		d.onSpoke = func(string) (hub.Record, bool, error) { return hub.Record{}, false, errRefusal }
		d.mu.Unlock()
		check("on-b", "test.there", "")
		b.Hub.Close()
		check("", "test.there", "")
	})
}

package hub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// staleDirectory lists hubs that do not serve the operation besides those that do.
type staleDirectory struct {
	hub.Directory
	stale []string
}

func (d *staleDirectory) Providers(ctx context.Context, operation string) ([]string, error) {
	hubs, err := d.Directory.Providers(ctx, operation)
	return append(hubs, d.stale...), err
}

// countedLinks counts the hubs that are dialed.
type countedLinks struct {
	hub.Links
	dials atomic.Int64
}

func (l *countedLinks) Dial(ctx context.Context, from, to string) (transport.Conn, error) {
	l.dials.Add(1)
	return l.Links.Dial(ctx, from, to)
}

// A call goes to one more hub after one that does not have what the directory says, and to no third.
func TestStaleDirectory(t *testing.T) {
	for _, stale := range []int{1, 2, 5} {
		t.Run(fmt.Sprint(stale), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				bp := hub.NewMemoryBackplane()
				dir := &staleDirectory{Directory: bp.Directory}
				links := &countedLinks{Links: bp.Links}
				a := hubtest.New(t, &hub.Options{AllowAnonymous: true, ID: "hub-a", Backplane: &hub.Backplane{Directory: dir, Links: links}})
				for i := range stale {
					id := fmt.Sprintf("stale-%d", i)
					hubtest.New(t, &hub.Options{AllowAnonymous: true, ID: id, Backplane: bp})
					dir.stale = append(dir.stale, id)
				}
				_, err := call.Invoke[string](t.Context(), a.Hub, "test.who", nil)
				if !errors.Is(err, call.CodeOperationNotFound) || links.dials.Load() != int64(min(stale, 2)) {
					t.Errorf("%v after %d hubs", err, links.dials.Load())
				}
				if stale > 1 {
					return
				}
				hubtest.New(t, &hub.Options{AllowAnonymous: true, ID: "hub-b", Backplane: bp}).Spoke("on-b", nil, serveWho("on-b"))
				for range 20 { // the order of the hubs is random
					if who, err := call.Invoke[string](t.Context(), a.Hub, "test.who", nil); err != nil || who != "on-b" {
						t.Fatalf("%q, %v", who, err)
					}
				}
			})
		})
	}
}

// A call that the spokes of this hub refuse to the identity goes to a hub whose spoke accepts it.
func TestAnotherHubPermits(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := twoHubs(t)
		serve := func(who string, access call.AccessControl) func(*call.Registry) {
			return func(r *call.Registry) {
				must(t, call.Handle(r, call.Operation{Name: "test.who", Access: access}, func(context.Context, any) (string, error) { return who, nil }))
			}
		}
		a.Spoke("on-a", nil, serve("on-a", call.AccessControl{RequiredScopes: []string{"trusted"}}))
		one := &call.Identity{ID: "one"}
		caller := a.Spoke("caller", &spoke.Options{Dialer: a.Dialer(one)}, nil)
		callers := map[string]call.Caller{"program": call.Intercept(a.Hub, func(next call.Handler) call.Handler {
			return func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
				req.Identity = one
				return next(ctx, req, send)
			}
		}), "spoke": caller}
		for name, c := range callers {
			if _, err := call.Invoke[string](t.Context(), c, "test.who", nil); !errors.Is(err, call.CodeAccessDenied) {
				t.Errorf("%s, before another hub serves it: %v", name, err)
			}
		}
		b.Spoke("on-b", nil, serve("on-b", call.AccessControl{}))
		for name, c := range callers {
			if who, err := call.Invoke[string](t.Context(), c, "test.who", nil); err != nil || who != "on-b" {
				t.Errorf("%s: %q, %v", name, who, err)
			}
		}
		// ListOperations is of this hub, and for the identity.
		for _, id := range []*call.Identity{one, nil} {
			var names []string
			for _, op := range a.Hub.ListOperations(id) {
				names = append(names, op.Name)
				if wantSpokes := op.Name == "test.who"; (op.Spokes == 1) != wantSpokes {
					t.Errorf("%+v", op)
				}
			}
			if !slices.IsSorted(names) || !slices.Contains(names, "hub.info") || slices.Contains(names, "test.who") != (id == nil) {
				t.Errorf("%v sees %q", id, names)
			}
		}
	})
}

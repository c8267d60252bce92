package hub_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/spoke"
)

// asked is an authorizer that records its calls and refuses the configured ones.
type asked struct {
	mu   sync.Mutex // guards the fields below
	seen []hub.Action
	deny string
}

func (a *asked) authorize(act hub.Action) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen = append(a.seen, act)
	if act.Name == a.deny {
		return errors.New("denied")
	}
	return nil
}

// times reports how often the authorizer was asked since the last time.
func (a *asked) times(verb hub.Verb, name string) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, act := range a.seen {
		if act.Verb == verb && act.Name == name {
			n++
		}
	}
	a.seen = nil
	return n
}

// Whatever way a call takes, the authorizer of each hub is asked about it at most once.
func TestAuthorizerIsAskedOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var here, far asked
		here.deny = "test.denied"
		bp := hub.NewMemoryBackplane()
		a := hubtest.New(t, &hub.Options{AllowAnonymous: true, ID: "hub-a", Backplane: bp, Authorize: here.authorize})
		b := hubtest.New(t, &hub.Options{AllowAnonymous: true, ID: "hub-b", Backplane: bp, Authorize: far.authorize})
		serve := func(name string) func(*call.Registry) {
			return func(r *call.Registry) {
				must(t, call.Handle(r, call.Operation{Name: name}, func(ctx context.Context, in string) (string, error) {
					if in == "wait" {
						later(time.Second)
					}
					return in, nil
				}))
				must(t, call.HandleStream(r, call.Operation{Name: name + ".stream"}, func(_ context.Context, _ any, send func(int) error) error { return send(1) }))
			}
		}
		a.Spoke("near", nil, serve("test.near"))
		a.Spoke("busy", &spoke.Options{MaxInFlight: 1}, serve("test.busy"))
		lost := a.Spoke("lost", nil, serve("test.lost"))
		b.Spoke("far", nil, serve("test.far"))
		a.Spoke("denied", nil, nil) // what it serves is denied
		serve("test.own")(a.Hub.Operations())
		caller := a.Spoke("caller", nil, nil)
		synctest.Wait()
		go call.Invoke[string](t.Context(), caller, "test.busy", "wait")
		lost.Wire.Cut()
		lost.Wire.Refuse(errors.New("refused"))
		synctest.Wait()
		go func() { later(2 * time.Second); lost.Wire.Refuse(nil) }()
		for _, name := range []string{"test.near", "test.near.stream", "test.busy", "test.lost", "test.far", "test.far.stream",
			"test.own", "test.own.stream", "test.denied", "test.nowhere", "hub.gather"} {
			here.times(hub.Call, name)
			far.times(hub.Call, name)
			in := any("x")
			if name == "hub.gather" {
				in = map[string]string{"operationId": "test.far"}
			}
			_, err := call.Invoke[any](t.Context(), caller, name, in)
			synctest.Wait()
			if n := here.times(hub.Call, name); n != 1 {
				t.Errorf("%s (%v): asked %d times", name, err, n)
			}
			if n := far.times(hub.Call, name); n > 1 {
				t.Errorf("%s (%v): the other hub asked %d times", name, err, n)
			}
		}
		here.times(hub.Publish, "")
		if err := caller.Events().Dispatch(t.Context(), pubsub.Event{Topic: "a.topic", Payload: []byte("1")}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := here.times(hub.Publish, "a.topic"); n != 1 {
			t.Errorf("publish: asked %d times", n)
		}
		stop, err := caller.Events().Listen(t.Context(), "a.topic", func(pubsub.Event) {})
		if err != nil {
			t.Error(err)
		}
		defer stop()
		if n := here.times(hub.Subscribe, "a.topic"); n != 1 {
			t.Errorf("subscribe: asked %d times", n)
		}
		before := slices.Clone(here.seen)
		a.Spoke("new", nil, serve("test.new"))
		if n := here.times(hub.Hold, "new"); n != 1 {
			t.Errorf("registration: asked %d times about the id (%v)", n, before)
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

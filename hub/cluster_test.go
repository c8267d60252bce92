package hub_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
)

// twoHubs are joined in memory; what is shown here holds for any backplane.
func twoHubs(t *testing.T) (a, b *hubtest.Network) {
	bp := hub.NewMemoryBackplane()
	a = hubtest.New(t, &hub.Options{AllowAnonymous: true, ID: "hub-a", Backplane: bp})
	b = hubtest.New(t, &hub.Options{AllowAnonymous: true, ID: "hub-b", Backplane: bp})
	return a, b
}

func serveWho(id string) func(*call.Registry) {
	return func(r *call.Registry) {
		registered(call.Handle(r, call.Operation{Name: "test.who"}, func(context.Context, json.RawMessage) (string, error) { return id, nil }))
		registered(call.Handle(r, call.Operation{Name: "test.wait"}, func(ctx context.Context, _ json.RawMessage) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}))
		registered(call.HandleStream(r, call.Operation{Name: "test.count"}, func(_ context.Context, n int, send func(int) error) error {
			for i := range n {
				if err := send(i); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

func TestAcrossHubs(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := twoHubs(t)
		onB := b.Spoke("on-b", nil, serveWho("on-b"))
		for name, caller := range map[string]call.Caller{"hub": a.Hub, "spoke": a.Spoke("caller", nil, nil)} {
			for _, opts := range [][]call.Option{nil, {call.To("on-b")}} {
				who, err := call.Invoke[string](t.Context(), caller, "test.who", nil, opts...)
				if err != nil || who != "on-b" {
					t.Errorf("%s: %q, %v", name, who, err)
				}
			}
			sum := 0
			for n, err := range call.Stream[int](t.Context(), caller, "test.count", 100) {
				if err != nil {
					t.Fatal(err)
				}
				sum += n
			}
			if sum != 4950 {
				t.Errorf("%s: the stream adds up to %d", name, sum)
			}
			_, err := call.Invoke[string](t.Context(), caller, "test.wait", nil, call.Timeout(time.Second))
			if !errors.Is(err, call.CodeTimeout) {
				t.Errorf("%s: %v, want TIMEOUT", name, err)
			}
		}
		synctest.Wait()
		if n := onB.Stats().Serving; n != 0 {
			t.Errorf("%d handlers go on after their calls have ended", n)
		}
		spokes, err := call.Invoke[hub.Page[hub.SpokeInfo]](t.Context(), a.Hub, "hub.spokes", nil)
		if err != nil || len(spokes.Items) != 2 || spokes.Items[1].HubID != "hub-b" || spokes.Next != "" || spokes.Incomplete != nil {
			t.Errorf("hub.spokes: %+v, %v", spokes, err)
		}
		got := map[string]int{}
		a.Spoke("on-a", nil, serveWho("on-a"))
		for r, err := range call.Gather[string](t.Context(), a.Hub, "test.who", nil) {
			if err != nil || r.Err != nil || r.Output != r.SpokeID {
				t.Errorf("gather: %+v, %v", r, err)
			}
			got[r.SpokeID]++
		}
		if len(got) != 2 {
			t.Errorf("gather: %v", got)
		}
		for range 10 { // local spokes are preferred
			if who, err := call.Invoke[string](t.Context(), a.Hub, "test.who", nil); err != nil || who != "on-a" {
				t.Errorf("%q, %v", who, err)
			}
		}
		if done, err := a.Hub.Disconnect(t.Context(), "on-b", "test"); !done || err != nil {
			t.Errorf("Disconnect: %v, %v", done, err)
		}
	})
}

// A spoke that comes back on another hub ends its old connection there, and the
// old hub's clean-up removes nothing of the new.
func TestMoveBetweenHubs(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := twoHubs(t)
		var mu sync.Mutex
		var reasons []string
		sub, err := hub.Disconnected.Subscribe(t.Context(), a.Hub.Events(), "mover")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for p, err := range sub.All() {
				if err != nil {
					return
				}
				mu.Lock()
				reasons = append(reasons, p.Reason)
				mu.Unlock()
			}
		}()
		old := a.Spoke("mover", nil, serveWho("first"))
		b.Spoke("mover", nil, serveWho("second"))
		synctest.Wait()
		if old.State() != spoke.Stopped {
			t.Errorf("the replaced spoke is %v", old.State())
		}
		for _, h := range []*hub.Hub{a.Hub, b.Hub} {
			who, err := call.Invoke[string](t.Context(), h, "test.who", nil, call.To("mover"))
			if err != nil || who != "second" {
				t.Errorf("%q, %v", who, err)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if len(reasons) != 1 || reasons[0] != "replaced by another instance" {
			t.Errorf("presence: %v", reasons)
		}
	})
}

// registered checks that an operation was registered, where no test is at hand.
func registered(err error) {
	if err != nil {
		panic(err)
	}
}

package redisbackplane_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/redisbackplane"
	"github.com/alkdev/hubspoke/internal/redistest"
	"github.com/alkdev/hubspoke/spoke"
)

// A spoke id that a live hub holds for one identity is not taken by another one, whatever the hubs have to
// write: also by a hub that was cut off, and knows no better, when it writes what it has.
func TestAnotherIdentityTakesNoID(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr())
	o := &redisOptions{Lease: 2 * time.Second}
	a, b := startNode(t, server.URL(), "hub-a", o), startNode(t, "redis://"+proxy.Addr(), "hub-b", o)
	first := a.Spoke("the-id", &spoke.Options{Dialer: a.Dialer(&call.Identity{ID: "first"})}, serve("first"))
	reasons := make(chan string, 10)
	sub, err := hub.Disconnected.Subscribe(t.Context(), b.Hub.Events(), "the-id")
	if err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the test's context
		for p, err := range sub.All() {
			if err != nil {
				return
			}
			reasons <- p.Reason
		}
	}()

	proxy.Refuse()
	within(t, time.Second, "the hub is cut off", func() bool { return !healthy(b) })
	second := b.Start("the-id", &spoke.Options{Dialer: b.Dialer(&call.Identity{ID: "second"})}, serve("second"))
	within(t, time.Second, "its hub lets it in while it cannot ask", func() bool { return calls(t, b.Hub, "second", call.To("the-id")) })
	proxy.Heal()
	within(t, 3*time.Second, "it has lost the id", func() bool {
		return second.State() != spoke.Registered && calls(t, b.Hub, "first", call.To("the-id"))
	})
	if first.State() != spoke.Registered || first.Stats().Connections != 1 {
		t.Error("the identity that held the id has lost it")
	}
	if r := <-reasons; r != "the id is held by another identity" {
		t.Errorf("it was closed for the reason %q", r)
	}
	within(t, 3*time.Second, "all is well", func() bool { return healthy(a) && healthy(b) })
}

// A hub that writes its keys again, as each does every six hours, stays settled: claims go to Redis throughout.
func TestRefreshAsksForEveryClaim(t *testing.T) {
	server := redistest.Start(t)
	client, err := redisbackplane.Connect(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	sent := &counting{Client: client}
	bp, err := redisbackplane.New(sent, &redisOptions{Lease: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer bp.Close()
	bp.RefreshEvery(time.Nanosecond)
	ctx := t.Context()
	other := join(t, server.URL(), nil).Backplane().Directory
	dir := bp.Backplane().Directory
	for id, d := range map[string]hub.Directory{"hub-a": dir, "hub-b": other} {
		leave, err := d.Join(ctx, id, func(newer hub.Record) { t.Errorf("hub %s has lost a spoke: %+v", id, newer) })
		if err != nil {
			t.Fatal(err)
		}
		defer leave(context.Background())
	}
	if _, err := other.Claim(ctx, hub.Record{SpokeID: "held", HubID: "hub-b", IdentityID: "first"}); err != nil {
		t.Fatal(err)
	}
	for i := range 50 { // so that there is something to write
		_, _ = dir.Claim(ctx, hub.Record{SpokeID: fmt.Sprint("more-", i), HubID: "hub-a", IdentityID: "second"})
	}
	for begin := sent.sent("evalsha hubs"); sent.sent("evalsha hubs") < begin+4; {
		if g, err := dir.Claim(ctx, hub.Record{SpokeID: "held", HubID: "hub-a", IdentityID: "second"}); !errors.Is(err, hub.ErrHeld) {
			t.Fatalf("another identity got the id: generation %d, %v", g, err)
		}
		if h := bp.Health(); h.Status != hub.StatusOK {
			t.Fatalf("while it writes its keys again: %+v", h)
		}
	}
}

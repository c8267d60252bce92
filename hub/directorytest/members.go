package directorytest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/alkdev/hubspoke/hub"
)

// provides waits until the operation is seen to be served by just these hubs.
func (s *side) provides(operation string, hubs ...string) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("%s sees %q served by %v", s.id, operation, hubs), func() bool {
		got, err := s.dir.Providers(s.t.Context(), operation)
		if err != nil {
			s.t.Fatalf("Providers: %v", err)
		}
		return slices.Equal(got, hubs)
	})
}

func (s *side) hubs(want ...string) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("%s sees the hubs %v", s.id, want), func() bool {
		got, err := s.dir.Hubs(s.t.Context())
		if err != nil {
			s.t.Fatalf("Hubs: %v", err)
		}
		return slices.Equal(got, want)
	})
}

func (s *side) provide(operation string) {
	s.t.Helper()
	if err := s.dir.Provide(s.t.Context(), s.id, operation); err != nil {
		s.t.Errorf("Provide: %v", err)
	}
}

func (s *side) withdraw(operation string) {
	s.t.Helper()
	if err := s.dir.Withdraw(s.t.Context(), s.id, operation); err != nil {
		s.t.Errorf("Withdraw: %v", err)
	}
}

func testProviders(b *bench) {
	b.a.provides("text.count")
	b.a.provide("text.count")
	b.a.provide("text.count") // again changes nothing
	b.a.provides("text.count", "hub-a")
	b.b.provide("text.count")
	b.b.provide("text.other")
	for _, s := range []*side{b.a, b.b} {
		s.provides("text.count", "hub-a", "hub-b")
		s.provides("text.other", "hub-b")
	}
	b.a.withdraw("text.count")
	b.a.withdraw("text.count")
	b.a.withdraw("text.never")
	for _, s := range []*side{b.a, b.b} {
		s.provides("text.count", "hub-b")
		s.provides("text.never")
	}
}

func testHubs(b *bench) {
	b.a.hubs("hub-a", "hub-b")
	c := b.join(b.a.dir, "hub-c")
	b.b.hubs("hub-a", "hub-b", "hub-c")
	c.leave()
	b.b.hubs("hub-a", "hub-b")
}

func testInUse(b *bench) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*Patience)
	defer cancel()
	if _, err := b.b.dir.Join(ctx, "hub-a", func(hub.Record) {}); !errors.Is(err, hub.ErrHubIDInUse) {
		b.t.Errorf("Join under an id in use: %v", err)
	}
	b.b.hubs("hub-a", "hub-b")
	b.a.leave()
	again := b.join(b.b.dir, "hub-a")
	b.b.hubs("hub-a", "hub-b")
	again.leave()
}

func testLeave(b *bench) {
	b.a.claim(b.a.record("x"))
	kept := b.b.claim(b.b.record("y"))
	b.a.provide("text.count")
	b.b.provide("text.count")
	b.b.provides("text.count", "hub-a", "hub-b")
	b.a.leave()
	b.b.seesNone()
	b.b.sees(kept)
	b.b.provides("text.count", "hub-b")
	b.b.hubs("hub-b")
	// Another life of the hub begins with nothing.
	b.a = b.join(b.a.dir, "hub-a")
	b.b.hubs("hub-a", "hub-b")
	b.b.provides("text.count", "hub-b")
	b.b.seesNone()
}

func testLeftHolder(b *bench) {
	rec := b.a.record("x")
	rec.InstanceID, rec.Attempt = "process", 5
	b.a.claim(rec)
	b.a.leave()
	other := b.b.record("x")
	other.IdentityID = "someone else"
	b.b.sees(b.b.claim(other))
	b.a.toldNothing()
}

func testLeaveWaits(b *bench) {
	began, goOn, left := make(chan struct{}), make(chan struct{}), make(chan struct{})
	ctx := context.Background()
	leave, err := b.a.dir.Join(ctx, "hub-c", func(hub.Record) {
		close(began)
		<-goOn
	})
	if err != nil {
		b.t.Fatal(err)
	}
	rec := b.a.record("x")
	rec.HubID = "hub-c"
	if _, err := b.a.dir.Claim(ctx, rec); err != nil {
		b.t.Error(err)
	}
	b.b.claim(b.b.record("x"))
	select {
	case <-began:
	case <-time.After(Patience):
		b.t.Fatal("the hub is not told")
	}
	go func() { leave(ctx); close(left) }()
	b.b.hubs("hub-a", "hub-b")
	select {
	case <-left:
		b.t.Error("leave returned while lost was running")
	default:
	}
	close(goOn)
	<-left
}

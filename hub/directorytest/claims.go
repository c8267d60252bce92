package directorytest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/alkdev/hubspoke/hub"
)

func testClaim(b *bench) {
	b.a.seesNone()
	rec := b.a.record("x")
	rec.InstanceID, rec.Attempt = "process 1", 7
	rec = b.a.claim(rec)
	b.a.sees(rec)
	b.b.sees(rec)
	b.a.release(rec)
	b.a.seesNone()
	b.b.seesNone()
	b.a.release(rec) // again does nothing
	b.a.toldNothing()
}

func testGenerations(b *bench) {
	var last int64
	for i := range 20 {
		s := b.a
		if i%3 == 2 {
			s = b.b
		}
		rec := s.record("x")
		rec.Generation = 1 // it is not looked at
		rec = s.claim(rec)
		if rec.Generation <= last {
			b.t.Fatalf("generation %d after %d", rec.Generation, last)
		}
		last = rec.Generation
		if i%2 == 1 {
			s.release(rec)
		}
	}
}

func testOldRelease(b *bench) {
	first := b.a.claim(b.a.record("x"))
	second := b.a.claim(b.a.record("x"))
	b.a.release(first)
	b.a.sees(second)
	moved := b.b.claim(b.b.record("x"))
	b.a.release(second)
	b.a.sees(moved)
	b.b.sees(moved)
	wrong := moved
	wrong.Generation++
	b.b.release(wrong)
	b.a.sees(moved)
}

func testTakeOver(b *bench) {
	b.a.claim(b.a.record("x"))
	moved := b.b.claim(b.b.record("x"))
	b.a.told(moved)
	b.a.sees(moved)
	b.b.sees(moved)
	back := b.a.claim(b.a.record("x"))
	b.b.told(back)
	b.b.sees(back)
	b.a.toldNothing()
	b.b.toldNothing()
}

func testHeld(b *bench) {
	rec := b.a.claim(b.a.record("x"))
	other := b.b.record("x")
	other.IdentityID = "someone else"
	if _, err := b.b.dir.Claim(b.t.Context(), other); !errors.Is(err, hub.ErrHeld) {
		b.t.Errorf("Claim by another identity: %v", err)
	}
	b.b.sees(rec)
	b.a.toldNothing()
	b.a.release(rec)
	b.b.claim(other)
}

func testSuperseded(b *bench) {
	rec := b.a.record("x")
	rec.InstanceID, rec.Attempt = "process", 5
	rec = b.a.claim(rec)
	for _, attempt := range []int64{4, 5} {
		old := b.b.record("x")
		old.InstanceID, old.Attempt = "process", attempt
		if _, err := b.b.dir.Claim(b.t.Context(), old); !errors.Is(err, hub.ErrSuperseded) {
			b.t.Errorf("Claim with attempt %d: %v", attempt, err)
		}
	}
	b.b.sees(rec)
	b.a.toldNothing()
	newer := b.b.record("x")
	newer.InstanceID, newer.Attempt = "process", 6
	newer = b.b.claim(newer)
	b.a.told(newer)
	another := b.a.record("x")
	another.InstanceID, another.Attempt = "another process", 1
	b.b.told(b.a.claim(another))
}

func testSameHub(b *bench) {
	// Which of two connections to one hub counts is the hub's own business.
	rec := b.a.record("x")
	rec.InstanceID, rec.Attempt = "process", 5
	b.a.claim(rec)
	rec.Attempt, rec.IdentityID = 3, "someone else"
	rec = b.a.claim(rec)
	b.b.sees(rec)
	b.a.toldNothing()
}

func testOddIDs(b *bench) {
	ids := []string{"{", "}", "{}", "a}b", "a{b}c", "%", "%7D", "%}", " ", "ü", "a\nb", "a:b", "*", strings.Repeat("x", 256)}
	for _, id := range ids {
		b.a.claim(b.a.record(id))
		if err := b.a.dir.Provide(b.t.Context(), b.a.id, id); err != nil {
			b.t.Errorf("Provide %q: %v", id, err)
		}
	}
	for _, id := range ids {
		rec := b.b.claim(b.b.record(id))
		b.a.sees(rec)
		b.a.told(rec)
		b.b.provides(id, "hub-a")
	}
}

func testConcurrent(b *bench) {
	const rounds, spokes = 40, 5
	var mu sync.Mutex
	newest := map[string]hub.Record{}
	var all sync.WaitGroup
	for i := range spokes {
		for _, s := range []*side{b.a, b.b} {
			all.Go(func() {
				for range rounds {
					rec := s.record(fmt.Sprint("spoke ", i))
					g, err := s.dir.Claim(context.Background(), rec)
					if err != nil {
						b.t.Errorf("Claim: %v", err)
						return
					}
					rec.Generation = g
					mu.Lock()
					if old := newest[rec.SpokeID]; old.Generation == g {
						b.t.Errorf("%s and %s both have generation %d", old.HubID, s.id, g)
					} else if old.Generation < g {
						newest[rec.SpokeID] = rec
					}
					mu.Unlock()
				}
			})
		}
	}
	all.Wait()
	for _, rec := range newest {
		b.a.sees(rec)
		b.b.sees(rec)
	}
}

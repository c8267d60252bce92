package directorytest

import (
	"context"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/hub"
)

// Patience is how long anything may take to be seen.
const Patience = 10 * time.Second

// Directories makes what a test needs: each call of New gives the directory as another process
// sees it. They share one state, which is empty when the subtest begins. A directory
// in memory gives the same one each time.
type Directories struct {
	New func(t *testing.T) hub.Directory
}

// Test tests every sentence of [hub.Directory] that can be observed. begin is
// called once for each subtest.
func Test(t *testing.T, begin func(t *testing.T) Directories) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dirs := begin(t)
			b := &bench{t: t}
			b.a = b.join(dirs.New(t), "hub-a")
			b.b = b.join(dirs.New(t), "hub-b")
			c.run(b)
		})
	}
}

var cases = []struct {
	name string
	run  func(*bench)
}{
	{"claim and release", testClaim},
	{"generations rise", testGenerations},
	{"release of an older generation", testOldRelease},
	{"take over", testTakeOver},
	{"another identity", testHeld},
	{"an older attempt", testSuperseded},
	{"the same hub again", testSameHub},
	{"odd ids", testOddIDs},
	{"providers", testProviders},
	{"hubs", testHubs},
	{"the id is in use", testInUse},
	{"leave", testLeave},
	{"who has left does not stand against a claim", testLeftHolder},
	{"leave returns when lost has", testLeaveWaits},
	{"many at once", testConcurrent},
}

// bench is two hubs in one directory, as two processes see it.
type bench struct {
	t    *testing.T
	a, b *side
}

// side is one hub.
type side struct {
	t     *testing.T
	dir   hub.Directory
	id    string
	lost  chan hub.Record
	leave func()
}

func (b *bench) join(d hub.Directory, id string) *side {
	b.t.Helper()
	s := &side{t: b.t, dir: d, id: id, lost: make(chan hub.Record, 1000)}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	leave, err := d.Join(ctx, id, func(r hub.Record) { s.lost <- r })
	if err != nil {
		b.t.Fatalf("Join %s: %v", id, err)
	}
	left := false
	s.leave = func() {
		if !left {
			left = true
			ctx, cancel := context.WithTimeout(context.Background(), Patience)
			defer cancel()
			leave(ctx)
		}
	}
	b.t.Cleanup(s.leave)
	return s
}

func (s *side) record(spoke string) hub.Record {
	return hub.Record{SpokeID: spoke, HubID: s.id, IdentityID: "someone"}
}

// claim claims and fails the test where that is refused.
func (s *side) claim(rec hub.Record) hub.Record {
	s.t.Helper()
	g, err := s.dir.Claim(s.t.Context(), rec)
	if err != nil || g <= 0 {
		s.t.Fatalf("Claim %q: %d, %v", rec.SpokeID, g, err)
	}
	rec.Generation = g
	return rec
}

func (s *side) release(rec hub.Record) {
	s.t.Helper()
	if err := s.dir.Release(s.t.Context(), rec.HubID, rec.SpokeID, rec.Generation); err != nil {
		s.t.Errorf("Release %q: %v", rec.SpokeID, err)
	}
}

// eventually waits until holds is true.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	limit := time.NewTimer(Patience)
	defer limit.Stop()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-limit.C:
			t.Fatalf("it did not come true: %s", what)
		}
	}
}

// sees waits until the record is what is seen of the spoke.
func (s *side) sees(want hub.Record) {
	s.t.Helper()
	var got hub.Record
	eventually(s.t, s.id+" sees "+want.SpokeID+" at "+want.HubID, func() bool {
		rec, ok, err := s.dir.Spoke(s.t.Context(), want.SpokeID)
		if err != nil {
			s.t.Fatalf("Spoke: %v", err)
		}
		got = rec
		return ok && got == want
	})
}

func (s *side) seesNone() {
	s.t.Helper()
	eventually(s.t, s.id+" sees no x", func() bool {
		_, ok, err := s.dir.Spoke(s.t.Context(), "x")
		if err != nil {
			s.t.Fatalf("Spoke: %v", err)
		}
		return !ok
	})
}

// told waits until the hub is told that it has lost a spoke to the record.
func (s *side) told(want hub.Record) {
	s.t.Helper()
	select {
	case got := <-s.lost:
		if got != want {
			s.t.Errorf("%s is told of %+v, want %+v", s.id, got, want)
		}
	case <-time.After(Patience):
		s.t.Errorf("%s is not told of %+v", s.id, want)
	}
}

func (s *side) toldNothing() {
	s.t.Helper()
	select {
	case got := <-s.lost:
		s.t.Errorf("%s is told of %+v", s.id, got)
	default:
	}
}

package hub_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/spoke"
)

// Over connections that break all the time, at any point, with calls both ways, streams and events in flight:
// every call is answered once, every handler runs once, every stream and topic is complete and in order, and
// nothing is left. HUBSPOKE_SEED and HUBSPOKE_CUTS say how and how often.
func TestNothingIsLostOverCuts(t *testing.T) {
	seed, cuts := setting(t, "HUBSPOKE_SEED", randomSeed()), setting(t, "HUBSPOKE_CUTS", 1500)
	synctest.Test(t, func(t *testing.T) {
		h, err := hub.New(&hub.Options{AllowAnonymous: true, SessionWindow: 5 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 1000*time.Hour)
		defer cancel()
		l := &load{t: t, hub: h, pause: 200 * time.Millisecond, ctx: ctx, ran: map[string]int{}}
		l.serve(h.Operations(), h)
		var done atomic.Int64
		var wires []*brokenWire
		var links, runs sync.WaitGroup
		for i, id := range loadNames {
			w := &brokenWire{hub: h, wg: &links, cuts: &done, rnd: rand.New(rand.NewPCG(uint64(seed), uint64(i)))}
			w.heal.Store(true)
			wires = append(wires, w)
			s, err := spoke.New("ws://hub.test/", &spoke.Options{ID: id, Dialer: w, BackoffMin: 10 * time.Millisecond, BackoffMax: 500 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			l.serve(s.Operations(), s)
			l.spokes = append(l.spokes, s)
			runs.Go(func() {
				if err := s.Run(ctx); err != nil {
					t.Error(err)
				}
			})
			if err := s.Ready(ctx); err != nil {
				t.Fatal(err)
			}
		}
		l.run(func() {
			breakAll(t, wires, &done, int64(cuts))
		})
		t.Logf("%d connections were cut", done.Load())
		for _, s := range l.spokes {
			if err := s.Shutdown(ctx); err != nil {
				t.Error(err)
			}
		}
		runs.Wait()
		if err := h.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		links.Wait()
	})
}

// breakAll lets connections break until there have been enough.
func breakAll(t *testing.T, wires []*brokenWire, done *atomic.Int64, cuts int64) {
	for _, w := range wires {
		w.start()
	}
	for i := 0; done.Load() < cuts && !t.Failed(); i++ {
		<-time.After(time.Second)
		if i > int(cuts)*100 {
			t.Error(fmt.Sprint("only ", done.Load(), " cuts in that time"))
			break
		}
	}
	for _, w := range wires {
		w.heal.Store(true)
	}
}

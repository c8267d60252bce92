package hub_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
)

// Over connections that break all the time, at any point, with calls both ways, streams and events in flight:
// every call is answered once, every handler runs once, every stream and topic is complete and in order, and
// nothing is left. HUBSPOKE_SEED and HUBSPOKE_CUTS say how and how often.
func TestNothingIsLostOverCuts(t *testing.T) {
	seed, cuts := setting(t, "HUBSPOKE_SEED", randomSeed()), setting(t, "HUBSPOKE_CUTS", 1500)
	bubble.Test(t, func(t *testing.T) {
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
		var links sync.WaitGroup
		for i, id := range loadNames {
			w := &brokenWire{hub: h, wg: &links, cuts: &done, rnd: rand.New(rand.NewPCG(uint64(seed), uint64(i)))}
			w.heal.Store(true)
			wires = append(wires, w)
			l.join("ws://hub.test/", &spoke.Options{ID: id, Dialer: w, BackoffMin: 10 * time.Millisecond, BackoffMax: 500 * time.Millisecond})
		}
		l.run(func() {
			breakAll(t, wires, &done, int64(cuts))
		})
		t.Logf("%d connections were cut", done.Load())
		l.leave()
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

// The same over real sockets, through a proxy that cuts at random bytes.
func TestNothingIsLostOverCutSockets(t *testing.T) {
	seed, cuts := setting(t, "HUBSPOKE_SEED", randomSeed()), setting(t, "HUBSPOKE_CUTS", 300)
	before := sessionGoroutines()
	h, err := hub.New(&hub.Options{AllowAnonymous: true, SessionWindow: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	proxy := newCuttingProxy(t, srv.Listener.Addr().String(), seed)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	l := &load{t: t, hub: h, pause: 2 * time.Millisecond, ctx: ctx, ran: map[string]int{}}
	l.serve(h.Operations(), h)
	for _, id := range loadNames {
		l.join(proxy.url(), &spoke.Options{ID: id, BackoffMin: time.Millisecond, BackoffMax: 10 * time.Millisecond})
	}
	l.run(func() {
		proxy.start()
		for proxy.cuts.Load() < int64(cuts) && !t.Failed() && ctx.Err() == nil {
			<-time.After(time.Millisecond)
		}
		proxy.heal.Store(true)
	})
	t.Logf("%d connections were cut", proxy.cuts.Load())
	l.leave()
	proxy.close()
	srv.Close()
	// What has been told to end may still be on its last lines.
	left := sessionGoroutines()
	for patience := 0; len(left) > len(before) && patience < 500; patience++ {
		<-time.After(10 * time.Millisecond)
		left = sessionGoroutines()
	}
	if len(left) > len(before) {
		t.Errorf("%d goroutines are left, %d before:\n%s", len(left), len(before), strings.Join(left, "\n\n"))
	}
}

// sessionGoroutines gives the stacks of those that run code of this module, tests aside.
func sessionGoroutines() []string {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	var own []string
	for g := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(g, "alkdev/hubspoke/") && !strings.Contains(g, "testing.tRunner(") {
			own = append(own, g)
		}
	}
	return own
}

package hub_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/pubsub"
)

// The hub's counts equal the sums over its spokes, while calls run, when spokes are lost, and at the end.
func TestStatsAreWhatTheSpokesAddUpTo(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &hub.Options{AllowAnonymous: true, EventBytes: 1 << 10})
		check := func(when string, inFlight, serving, spokes, waiting int) {
			t.Helper()
			synctest.Wait()
			sum := 0
			for _, s := range net.Hub.Spokes(nil) {
				sum += s.InFlight
			}
			st := net.Hub.Stats()
			if st.InFlight != inFlight || sum != inFlight || st.Serving != serving || st.Spokes != spokes || st.Waiting != waiting {
				t.Errorf("%s: %+v, the spokes add up to %d; want %d in flight, %d served, %d spokes, %d detached", when, st, sum, inFlight, serving, spokes, waiting)
			}
		}
		var workers []*hubtest.Spoke
		for i := range 5 {
			workers = append(workers, net.Spoke(fmt.Sprint("w", i), nil, serveWho(fmt.Sprint("w", i))))
		}
		asker := net.Spoke("asker", nil, nil)
		check("idle", 0, 0, 6, 0)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		for i := range 20 {
			var c call.Caller = net.Hub
			if i%2 == 0 {
				c = asker
			}
			go func() {
				_, _ = call.Invoke[string](ctx, c, "test.wait", nil, call.To(fmt.Sprint("w", i%5)), call.Timeout(time.Hour))
				done <- struct{}{}
			}()
		}
		check("with 20 calls", 20, 10, 6, 0)
		loseSpoke(workers[0], time.Second)
		check("with a spoke that is lost", 20, 10, 6, 1)
		later(time.Minute) // its session ends, and with it its calls
		check("with a spoke less", 16, 8, 5, 0)
		cancel()
		for range 20 {
			<-done
		}
		check("at the end", 0, 0, 5, 0)

		// Dropped events stay counted; queued ones are counted until the session ends.
		idle := net.Hub.Stats().QueuedBytes // what the other spokes have not acknowledged yet
		near := rawSpoke(t, net.Hub, &call.Identity{ID: "one"}, `{"spokeId":"slow"}`)
		if err := near.Write([][]byte{[]byte(`{"type":"__subscribe","payload":{"topic":"t"}}`)}); err != nil {
			t.Fatal(err)
		}
		if _, err := near.Read(); err != nil {
			t.Fatal(err)
		}
		payload, _ := json.Marshal(strings.Repeat("x", 100_000))
		for range 40 {
			if err := net.Hub.Events().Dispatch(t.Context(), pubsub.Event{Topic: "t", Payload: payload}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		before := net.Hub.Stats()
		if before.EventsDropped == 0 || before.QueuedBytes <= idle {
			t.Errorf("%+v", before)
		}
		near.Abort()
		synctest.Wait()
		if st := net.Hub.Stats(); st.QueuedBytes > idle || st.EventsDropped != before.EventsDropped {
			t.Errorf("%+v", st)
		}
	})
}

// Stats costs the same however many spokes there are.
func TestStatsDoNotWalkTheSpokes(t *testing.T) {
	net := hubtest.New(t, nil)
	for i := range 50 {
		defer rawSpoke(t, net.Hub, &call.Identity{ID: "one"}, fmt.Sprintf(`{"spokeId":"w%d"}`, i)).Abort()
	}
	if n := testing.AllocsPerRun(10, func() { net.Hub.Stats() }); n != 0 {
		t.Errorf("%v allocations with 50 spokes, want none", n)
	}
}

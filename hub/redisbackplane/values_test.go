package redisbackplane_test

import (
	"testing"
	"time"

	"github.com/alkdev/hubspoke/internal/badvalues"
	"github.com/alkdev/hubspoke/internal/redistest"
	"github.com/alkdev/hubspoke/pubsub"
)

// A bad value fails its own call or event also where two hubs on Redis are between.
func TestBadValues(t *testing.T) {
	server := redistest.Start(t)
	nodes := startNodes(t, server.URL(), 2)
	t.Run("calls", func(t *testing.T) { badvalues.Calls(t, nodes[0].Network, nodes[1].Network) })
	t.Run("events", func(t *testing.T) { badvalues.Events(t, nodes[0].Network, nodes[1].Network) })
	t.Run("another program", func(t *testing.T) {
		s := nodes[0].Spoke("reader", nil, nil)
		got := make(chan pubsub.Event, 10)
		stop, err := s.Events().Listen(t.Context(), "news.other", func(ev pubsub.Event) { got <- ev })
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		for _, message := range []string{"\"caf\xe9\"", "{", string(badvalues.Nested(12_000)), string(badvalues.Nested(9_000)), "1"} {
			server.Do("PUBLISH", "alk:events:news.other", message)
		}
		for i := range 2 { // a gap of one in place of what is deeper than the spoke takes; what is no payload is counted
			select {
			case ev := <-got:
				if ev.Gap != (i == 0) || i == 0 && ev.Dropped != 1 || i == 1 && string(ev.Payload) != "1" {
					t.Errorf("event %d: %+v", i, ev)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("no event")
			}
		}
		if n := s.Stats().Connections; n != 1 {
			t.Errorf("the spoke has connected %d times", n)
		}
	})
}

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
		for lost := 0; ; { // a gap of one in place of each that is no payload, or deeper than the spoke accepts
			select {
			case ev := <-got:
				lost += ev.Dropped
				if ev.Gap {
					continue
				}
				if lost != 4 || string(ev.Payload) != "1" {
					t.Errorf("after %d lost events: %+v", lost, ev)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("no event after %d lost ones", lost)
			}
			break
		}
		if n := s.Stats().Connections; n != 1 {
			t.Errorf("the spoke has connected %d times", n)
		}
	})
}

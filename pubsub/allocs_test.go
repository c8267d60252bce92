//go:build !race

package pubsub_test

import (
	"context"
	"testing"

	"github.com/alkdev/hubspoke/pubsub"
)

// An event costs nothing on its way to a hundred listeners.
func TestDispatchAllocations(t *testing.T) {
	var local pubsub.Local
	got := 0
	for range 100 {
		stop, err := local.Listen(t.Context(), "topic", func(pubsub.Event) { got++ })
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
	}
	ev := pubsub.Event{Topic: "topic", Payload: []byte("{}")}
	n := testing.AllocsPerRun(1000, func() {
		if err := local.Dispatch(context.Background(), ev); err != nil {
			t.Error(err)
		}
	})
	if n > 0 {
		t.Errorf("%v allocations, want none", n)
	}
	if got != 1001*100 { // one run is for warming up
		t.Errorf("%d deliveries", got)
	}
}

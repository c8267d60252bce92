package hub_test

import (
	"context"
	"fmt"

	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/pubsub"
)

// Status is what the topic of the example carries.
type Status struct {
	State string `json:"state"`
}

// Events go from whoever publishes to whoever subscribes, hub or spoke.
func ExampleHub_Events() {
	ctx := context.Background()
	h := newExampleHub()
	defer h.Close()
	s, stop := startExampleSpoke(h, "worker-7", nil)
	defer stop()

	status := pubsub.NewTopic[Status]("session.status")
	sub, err := status.Subscribe(ctx, s.Events(), "proj_123") // live when it returns
	if err != nil {
		fmt.Println(err)
		return
	}

	for _, state := range []string{"queued", "running", "done"} {
		if err := status.Publish(ctx, h.Events(), "proj_123", Status{state}); err != nil {
			fmt.Println(err)
		}
	}

	notQueued := func(st Status) bool { return st.State != "queued" }
	for st, err := range pubsub.Take(pubsub.Filter(sub.All(), notQueued), 2) { // leaving the loop ends the subscription
		fmt.Println(st.State, err)
	}
	// Output:
	// running <nil>
	// done <nil>
}

// The hub publishes who comes and goes.
func ExamplePresence() {
	ctx := context.Background()
	h := newExampleHub()
	defer h.Close()
	came, err := hub.Connected.Subscribe(ctx, h.Events(), "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer came.Stop()
	went, err := hub.Disconnected.Subscribe(ctx, h.Events(), "worker-7") // of this spoke only
	if err != nil {
		fmt.Println(err)
		return
	}
	defer went.Stop()

	s, stop := startExampleSpoke(h, "worker-7", nil)
	defer stop()
	p, err := came.Next(ctx)
	fmt.Println(p.HubID, p.SpokeID, err)

	_ = s.Shutdown(ctx)
	p, err = went.Next(ctx)
	fmt.Println(p.HubID, p.SpokeID, p.Reason, err)
	// Output:
	// hub-1 worker-7 <nil>
	// hub-1 worker-7 left <nil>
}

package pubsub_test

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/alkdev/hubspoke/pubsub"
)

// published returns the events of a subscription to which these states were published.
func published(states ...string) iter.Seq2[string, error] {
	ctx := context.Background()
	var local pubsub.Local
	topic := pubsub.NewTopic[string]("states")
	sub, err := topic.Subscribe(ctx, &local, "")
	if err != nil {
		return func(yield func(string, error) bool) { yield("", err) }
	}
	for _, state := range states {
		_ = topic.Publish(ctx, &local, "", state)
	}
	local.Close() // what has arrived can still be read
	return sub.All()
}

func ExampleFilter() {
	running := func(state string) bool { return state == "running" }
	for state, err := range pubsub.Filter(published("queued", "running", "paused", "running"), running) {
		fmt.Println(state, err)
	}
	// Output:
	// running <nil>
	// running <nil>
	//  pubsub: closed
}

func ExampleMap() {
	for state, err := range pubsub.Map(published("queued", "running"), strings.ToUpper) {
		fmt.Println(state, err)
	}
	// Output:
	// QUEUED <nil>
	// RUNNING <nil>
	//  pubsub: closed
}

func ExampleTake() {
	for state, err := range pubsub.Take(published("queued", "running"), 1) { // leaves the subscription, which ends it
		fmt.Println(state, err)
	}
	// Output: queued <nil>
}

func ExampleBatch() {
	for batch, err := range pubsub.Batch(published("queued", "running", "done"), 2) {
		fmt.Println(batch, err)
	}
	// Output:
	// [queued running] <nil>
	// [done] <nil>
	// [] pubsub: closed
}

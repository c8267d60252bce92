package pubsub_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alkdev/hubspoke/pubsub"
)

// With a subscription, its All method takes the place of slices.Values.
var states = []string{"queued", "running", "paused", "running", "done"}

func ExampleFilter() {
	running := func(state string) bool { return state == "running" }
	for state := range pubsub.Filter(slices.Values(states), running) {
		fmt.Println(state)
	}
	// Output:
	// running
	// running
}

func ExampleMap() {
	for state := range pubsub.Map(slices.Values(states[:2]), strings.ToUpper) {
		fmt.Println(state)
	}
	// Output:
	// QUEUED
	// RUNNING
}

func ExampleTake() {
	for state := range pubsub.Take(slices.Values(states), 1) {
		fmt.Println(state)
	}
	// Output: queued
}

func ExampleBatch() {
	for batch := range pubsub.Batch(slices.Values(states), 2) {
		fmt.Println(batch)
	}
	// Output:
	// [queued running]
	// [paused running]
	// [done]
}

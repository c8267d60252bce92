package pubsubtest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/pubsub/pubsubtest"
)

func ExampleRecorder() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var local pubsub.Local
	var recorder pubsubtest.Recorder
	stop, err := local.Listen(ctx, "doors", recorder.Record)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	_ = local.Dispatch(ctx, pubsub.Event{Topic: "doors", Payload: []byte(`"open"`)})

	events, err := recorder.Wait(ctx, 1)
	fmt.Printf("%s %v\n", events[0].Payload, err)
	// Output: "open" <nil>
}

func ExampleTestTarget() {
	// In a test file of the target's own package.
	_ = func(t *testing.T) {
		pubsubtest.TestTarget(t, func(t *testing.T) (publisher, subscriber pubsub.EventTarget) {
			local := new(pubsub.Local)
			t.Cleanup(local.Close)
			return local, local
		})
	}
}

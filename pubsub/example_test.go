package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alkdev/hubspoke/pubsub"
)

type Status struct {
	State string `json:"state"`
}

var status = pubsub.NewTopic[Status]("session.status")

func Example() {
	ctx := context.Background()
	var local pubsub.Local

	sub, err := status.Subscribe(ctx, &local, "proj_123") // live from here on
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, state := range []string{"queued", "running", "done"} {
		if err := status.Publish(ctx, &local, "proj_123", Status{state}); err != nil {
			fmt.Println(err)
		}
	}
	for st, err := range sub.All() {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(st.State)
		if st.State == "done" {
			break // ends the subscription
		}
	}
	// Output:
	// queued
	// running
	// done
}

func ExampleTopic_Name() {
	fmt.Println(status.Name(""))
	fmt.Println(status.Name("proj_123"))
	// Output:
	// session.status
	// session.status:proj_123
}

func ExampleTopic_Publish() {
	var local pubsub.Local
	fmt.Println("nobody listens:", status.Publish(context.Background(), &local, "", Status{"done"}))
	err := pubsub.NewTopic[Status]("").Publish(context.Background(), &local, "", Status{"done"})
	fmt.Println("no name:", errors.Is(err, pubsub.ErrInvalidTopic))
	// Output:
	// nobody listens: <nil>
	// no name: true
}

func ExampleTopic_Subscribe() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	var local pubsub.Local
	sub, err := status.Subscribe(ctx, &local, "") // ctx ends the subscription too
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, err := range sub.All() {
		fmt.Println(err)
	}
	// Output: context deadline exceeded
}

func ExampleSubscription_Next() {
	ctx := context.Background()
	var local pubsub.Local
	sub, _ := status.Subscribe(ctx, &local, "")
	_ = status.Publish(ctx, &local, "", Status{"done"})

	fmt.Println(sub.Next(ctx))
	sub.Stop()
	_, err := sub.Next(ctx)
	fmt.Println(errors.Is(err, pubsub.ErrClosed))
	// Output:
	// {done} <nil>
	// true
}

func ExampleOnGap() {
	ctx := context.Background()
	var local pubsub.Local
	sub, _ := status.Subscribe(ctx, &local, "",
		pubsub.Buffer(2), // the oldest goes when a third comes
		pubsub.OnGap(func(dropped int) { fmt.Println(dropped, "missing") }))
	for _, state := range []string{"queued", "running", "done"} {
		_ = status.Publish(ctx, &local, "", Status{state})
	}
	for st, err := range pubsub.Take(sub.All(), 2) {
		fmt.Println(st.State, err)
	}
	fmt.Println("dropped:", sub.Dropped(), "gaps:", sub.Gaps())
	// Output:
	// 1 missing
	// running <nil>
	// done <nil>
	// dropped: 1 gaps: 1
}

// An event that is of another type is an error in its place. This loop passes over it; one that returns the
// error ends the subscription.
func ExampleSubscription_All_undecodable() {
	ctx := context.Background()
	var local pubsub.Local
	sub, _ := status.Subscribe(ctx, &local, "")
	_ = pubsub.NewTopic[string](status.Name("")).Publish(ctx, &local, "", "a text")
	_ = status.Publish(ctx, &local, "", Status{"done"})
	local.Close()
	for st, err := range sub.All() {
		switch {
		case errors.Is(err, pubsub.ErrDecode):
			fmt.Println("passed over")
		case err != nil:
			fmt.Println("ended:", err)
		default:
			fmt.Println(st.State)
		}
	}
	// Output:
	// passed over
	// done
	// ended: pubsub: closed
}

func ExampleOnFull() {
	ctx := context.Background()
	var local pubsub.Local
	sub, _ := status.Subscribe(ctx, &local, "", pubsub.BufferBytes(50), pubsub.OnFull(pubsub.EndSubscription))
	for _, state := range []string{"queued", "running", "done"} {
		_ = status.Publish(ctx, &local, "", Status{state})
	}
	for st, err := range sub.All() {
		fmt.Println(st.State, err)
	}
	// Output:
	// queued <nil>
	// running <nil>
	//  pubsub: slow consumer
}

func ExampleLocal() {
	ctx := context.Background()
	var local pubsub.Local
	stop, err := local.Listen(ctx, "doors", func(ev pubsub.Event) {
		fmt.Printf("%s: %s\n", ev.Topic, ev.Payload)
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = local.Dispatch(ctx, pubsub.Event{Topic: "doors", Payload: []byte(`"open"`)})
	stop()
	_ = local.Dispatch(ctx, pubsub.Event{Topic: "doors", Payload: []byte(`"shut"`)})
	// Output: doors: "open"
}

func ExampleLocal_Close() {
	var local pubsub.Local
	local.AfterClose(func() { fmt.Println("closing") })
	local.Close()
	err := local.Dispatch(context.Background(), pubsub.Event{Topic: "doors"})
	fmt.Println(errors.Is(err, pubsub.ErrClosed))
	// Output:
	// closing
	// true
}

func ExampleValidTopic() {
	fmt.Println(pubsub.ValidTopic("session.status:proj_123"))
	fmt.Println(pubsub.ValidTopic("two\nlines"))
	// Output:
	// <nil>
	// pubsub: invalid topic: "two\nlines" has a control character
}

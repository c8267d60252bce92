package redistarget_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/pubsub/redistarget"
)

type Status struct{ Busy bool }

func Example() {
	ctx := context.Background()
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:6379"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	target, err := redistarget.New(client, &redistarget.Options{
		OnHealth: func(h redistarget.Health) { fmt.Println("Redis is heard:", h.Up, h.Reason) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer target.Close()

	status := pubsub.NewTopic[Status]("session.status")
	sub, err := status.Subscribe(ctx, target, "proj_123")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer sub.Stop()

	err = status.Publish(ctx, target, "proj_123", Status{Busy: true})
	var unavailable *redistarget.UnavailableError
	if errors.As(err, &unavailable) && unavailable.Local {
		fmt.Println("only this process has heard it")
	}
	st, err := sub.Next(ctx)
	fmt.Println(st, err)
}

func ExampleTarget_DispatchAsync() {
	// For code that must not wait, such as a connection's reader.
	publish := func(target pubsub.EventTarget, ev pubsub.Event, failed func(error)) {
		async, ok := target.(interface {
			DispatchAsync(ev pubsub.Event, done func(error))
		})
		if !ok {
			return
		}
		async.DispatchAsync(ev, func(err error) {
			if err != nil {
				failed(err)
			}
		})
	}
	_ = publish
}

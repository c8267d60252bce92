package hub_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/spoke"
)

// A draining predecessor loses its subscriptions, and each is denied. What the handlers that it still finishes publish
// arrives like any other event, and a subscription of theirs is refused instead of never answered.
func TestDrainingPredecessorAndEvents(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		replaced := make(chan struct{})
		var old *hubtest.Spoke
		topic := pubsub.NewTopic[int]("job.state")
		old = net.Spoke("w", nil, func(r *call.Registry) {
			registered(call.Handle(r, call.Operation{Name: "test.job"}, func(ctx context.Context, n int) (string, error) {
				<-replaced
				if err := topic.Publish(ctx, old.Events(), "", n); err != nil {
					return "", err
				}
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				sub, err := topic.Subscribe(ctx, old.Events(), "other")
				if err == nil {
					sub.Stop()
				}
				return errorText(err), nil
			}))
		})
		hearing, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		heard, err := topic.Subscribe(hearing, net.Hub.Events(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer heard.Stop()
		ended := make(chan error, 2)
		stop, err := old.Events().Listen(t.Context(), "job.state:mine", func(ev pubsub.Event) {
			ended <- ev.End
		})
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		answer := make(chan string, 1)
		go func() {
			out, err := call.Invoke[string](t.Context(), net.Hub, "test.job", 7)
			answer <- out + errorText(err)
		}()
		later(time.Second)
		left := make(chan error, 1)
		go func() { left <- old.Shutdown(t.Context()) }()
		later(time.Second)
		net.Spoke("w", &spoke.Options{}, nil)
		later(time.Second)
		if text := errorText(<-ended); !strings.HasSuffix(text, "UNAVAILABLE: replaced by another instance while it drains") || len(ended) > 0 {
			t.Errorf("the subscription of the predecessor ended with %q", text)
		}
		close(replaced)
		got := <-answer
		if !strings.HasSuffix(got, "UNAVAILABLE: replaced by another instance while it drains") {
			t.Errorf("the handler's subscription: %q", got)
		}
		if published, err := heard.Next(t.Context()); published != 7 || err != nil {
			t.Errorf("the handler published 7, and %d arrived, %v", published, err)
		}
		if err := <-left; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := old.Wait(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

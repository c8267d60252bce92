package hub_test

import (
	"testing"
	"testing/synctest"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/pubsub"
)

// An authorizer that panics is asked on readers too, where nobody would catch it: it refuses, and the hub goes on.
func TestAuthorizerThatPanics(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &hub.Options{AllowAnonymous: true, Authorize: func(a hub.Action) error {
			if a.Verb == hub.Publish || a.Verb == hub.Subscribe || a.Verb == hub.Call && a.Name == "test.bomb" {
				panic("the hook panics")
			}
			return nil
		}})
		s := net.Spoke("s", nil, nil)
		if err := s.Events().Dispatch(t.Context(), pubsub.Event{Topic: "some.topic", Payload: []byte("1")}); err != nil {
			t.Error(err) // the refusal comes later
		}
		if _, err := s.Events().Listen(t.Context(), "some.topic", func(pubsub.Event) {}); err == nil {
			t.Error("subscribed")
		}
		synctest.Wait()
		if n := net.Hub.Stats().Panics; n != 2 {
			t.Errorf("%d panics were counted, want 2", n)
		}
		if _, err := call.Invoke[hub.Info](t.Context(), s, "hub.info", nil); err != nil {
			t.Error(err)
		}
	})
}

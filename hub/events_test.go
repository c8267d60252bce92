package hub_test

import (
	"testing"

	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/pubsub/pubsubtest"
)

// The events of hub and spokes keep the contract of an event target, between any two of them.
func TestEventsAreTargets(t *testing.T) {
	type ends = func(t *testing.T) (publisher, subscriber pubsub.EventTarget)
	for name, e := range map[string]ends{
		"hub to spoke": func(t *testing.T) (_, _ pubsub.EventTarget) {
			net := hubtest.New(t, nil)
			return net.Hub.Events(), net.Spoke("a", nil, nil).Events()
		},
		"spoke to hub": func(t *testing.T) (_, _ pubsub.EventTarget) {
			net := hubtest.New(t, nil)
			return net.Spoke("a", nil, nil).Events(), net.Hub.Events()
		},
		"spoke to spoke": func(t *testing.T) (_, _ pubsub.EventTarget) {
			net := hubtest.New(t, nil)
			return net.Spoke("a", nil, nil).Events(), net.Spoke("b", nil, nil).Events()
		},
		"spoke to itself": func(t *testing.T) (_, _ pubsub.EventTarget) {
			a := hubtest.New(t, nil).Spoke("a", nil, nil).Events()
			return a, a
		},
		"over a WebSocket": func(t *testing.T) (_, _ pubsub.EventTarget) {
			h := socketHub(t, nil)
			return socketSpoke(t, h, "a").Events(), socketSpoke(t, h, "b").Events()
		},
	} {
		t.Run(name, func(t *testing.T) {
			pubsubtest.TestTarget(t, func(t *testing.T) (_, _ pubsub.EventTarget) {
				publisher, subscriber := e(t)
				return publisher, settled{subscriber, publisher}
			})
		})
	}
}

package hub_test

import (
	"net/http/httptest"
	"testing"

	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/pubsub/pubsubtest"
	"github.com/alkdev/hubspoke/spoke"
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
		t.Run(name, func(t *testing.T) { pubsubtest.TestTarget(t, e) })
	}
}

// server is a hub behind a real socket.
type server struct {
	*hub.Hub
	url string
}

func socketHub(t *testing.T, o *hub.Options) server {
	t.Helper()
	opts := hub.Options{}
	if o != nil {
		opts = *o
	}
	opts.AllowAnonymous = true
	h, err := hub.New(&opts)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(func() {
		h.Close()
		if err := h.Shutdown(cleanupContext(t)); err != nil {
			t.Errorf("the hub did not end: %v", err)
		}
		srv.Close()
	})
	return server{h, srv.URL}
}

func socketSpoke(t *testing.T, h server, id string) *spoke.Spoke {
	t.Helper()
	s, err := spoke.New(h.url, &spoke.Options{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(cleanupContext(t)) }()
	t.Cleanup(func() { _ = s.Shutdown(cleanupContext(t)); <-done })
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

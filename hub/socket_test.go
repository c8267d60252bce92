package hub_test

import (
	"net/http/httptest"
	"testing"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/spoke"
)

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
	return socketSpokeWith(t, h, id, &spoke.Options{}, func(*call.Registry) {})
}

func socketSpokeWith(t *testing.T, h server, id string, o *spoke.Options, operations func(*call.Registry)) *spoke.Spoke {
	t.Helper()
	o.ID = id
	s, err := spoke.New(h.url, o)
	if err != nil {
		t.Fatal(err)
	}
	operations(s.Operations())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(cleanupContext(t)) }()
	t.Cleanup(func() { _ = s.Shutdown(cleanupContext(t)); <-done })
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

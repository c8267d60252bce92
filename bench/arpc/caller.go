package arpc

import (
	"context"
	"errors"

	"github.com/alkdev/hubspoke/bench/contender"
)

// caller is a server with the clients that a workload within one process needs.
type caller struct {
	hub    *hub
	spokes []*spoke
}

// start connects clients 0 to n-1 to a server of their own.
func start(s contender.Setup, n network, clients int) (*caller, error) {
	h, err := newHub(s, n)
	if err != nil {
		return nil, err
	}
	c := &caller{hub: h}
	s.Addr = h.Addr()
	for i := range clients {
		sp, err := connect(context.Background(), s, n, contender.Client{Number: i})
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.spokes = append(c.spokes, sp)
	}
	return c, nil
}

func newCaller(s contender.Setup, n network) (contender.Caller, error) {
	c, err := start(s, n, 1)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Call has the server call client 0.
func (c *caller) Call(ctx context.Context, payload []byte) ([]byte, error) {
	return c.hub.Call(ctx, 0, payload)
}

func (c *caller) Close() error {
	for _, sp := range c.spokes {
		_ = sp.Close()
	}
	return c.hub.Close()
}

// routed is the same with a second client, which calls the first through the server.
type routed struct{ *caller }

func newRoute(s contender.Setup, n network) (contender.Caller, error) {
	c, err := start(s, n, 2)
	if err != nil {
		return nil, err
	}
	return routed{c}, nil
}

func (r routed) Call(ctx context.Context, payload []byte) ([]byte, error) {
	return call(ctx, r.spokes[1].client, forward, payload)
}

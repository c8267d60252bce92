package hubtest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/hub"
)

// Network is a hub and its spokes in memory. Make one with [New].
type Network struct {
	// Hub is the hub. It may be shut down by the test.
	Hub *hub.Hub

	t          testing.TB
	maxMessage int64
	accepting  sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	wires  []*Wire
	spokes []*Spoke
}

// endTime is how long everything may take to end after the test.
const endTime = 30 * time.Second

// New makes a network with a hub and no spokes; nil options are a hub that lets
// everybody in. Options that the hub refuses fail the test. Authenticate is not
// asked: who dials is who [Network.Dialer] says.
func New(t testing.TB, o *hub.Options) *Network {
	t.Helper()
	if o == nil {
		o = &hub.Options{AllowAnonymous: true}
	}
	opts := *o
	if opts.Authenticate == nil {
		opts.AllowAnonymous = true
	}
	h, err := hub.New(&opts)
	if err != nil {
		t.Fatal(err)
	}
	n := &Network{Hub: h, t: t, maxMessage: opts.MaxMessageBytes}
	t.Cleanup(n.end)
	return n
}

// end stops the spokes, then the hub, and joins everything.
func (n *Network) end() {
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	n.mu.Lock()
	wires, spokes := n.wires, n.spokes
	n.mu.Unlock()
	for _, s := range spokes {
		s.cancel()
	}
	for _, s := range spokes {
		select {
		case <-s.done:
		case <-ctx.Done():
			n.t.Errorf("hubtest: spoke %s did not end; a handler ignores its context?", s.Spoke.ID())
		}
	}
	for _, w := range wires {
		w.end()
	}
	if err := n.Hub.Shutdown(ctx); err != nil {
		n.t.Errorf("hubtest: the hub did not end: %v", err)
		return
	}
	n.accepting.Wait()
}

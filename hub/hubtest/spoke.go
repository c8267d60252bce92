package hubtest

import (
	"context"
	"fmt"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/spoke"
)

// Spoke is a spoke that runs, and the wire between it and the hub.
type Spoke struct {
	*spoke.Spoke
	// Wire is where faults are ordered; nil with a Dialer that is none and embeds none.
	Wire *Wire

	cancel context.CancelFunc
	done   chan struct{}
	err    error // set before done is closed
}

// URL is what the spokes of a network dial. A wire leads to its hub whatever the
// URL is.
const URL = "ws://hub.test/spoke"

// Spoke runs a spoke with this id and returns when it has registered. Nil options are the defaults; ID is
// set from id, and Dialer, if it is nil, to a wire of its own; another Dialer may have been given by
// [Network.Dialer], or embed such a one. Operations, which may be nil, adds what the spoke serves. A
// spoke that does not register in 30 seconds fails the test.
func (n *Network) Spoke(id string, o *spoke.Options, operations func(*call.Registry)) *Spoke {
	n.t.Helper()
	s := n.Start(id, o, operations)
	ctx, cancel := context.WithTimeout(n.t.Context(), endTime)
	defer cancel()
	if err := s.Ready(ctx); err != nil {
		select {
		case <-s.done:
			err = fmt.Errorf("%w: %w", err, s.err)
		default:
		}
		n.t.Fatalf("hubtest: spoke %s did not register: %v", id, err)
	}
	return s
}

// Start is [Network.Spoke] without the wait.
func (n *Network) Start(id string, o *spoke.Options, operations func(*call.Registry)) *Spoke {
	n.t.Helper()
	var opts spoke.Options
	if o != nil {
		opts = *o
	}
	opts.ID = id
	if opts.Dialer == nil {
		opts.Dialer = n.Dialer(nil)
	}
	var wire *Wire
	if d, ok := opts.Dialer.(interface{ wire() *Wire }); ok {
		wire = d.wire()
	}
	url := URL
	if opts.Discover != nil {
		url = ""
	}
	inner, err := spoke.New(url, &opts)
	if err != nil {
		n.t.Fatal(err)
	}
	if operations != nil {
		operations(inner.Operations())
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(n.t.Context()))
	s := &Spoke{Spoke: inner, Wire: wire, cancel: cancel, done: make(chan struct{})}
	n.mu.Lock()
	n.spokes = append(n.spokes, s)
	n.mu.Unlock()
	go func() { // Network.end waits for done
		defer close(s.done)
		s.err = inner.Run(ctx)
	}()
	return s
}

// Wait waits until the spoke's Run has returned and gives its error.
func (s *Spoke) Wait() error {
	<-s.done
	return s.err
}

// Reconnect cuts the spoke's connection and returns when it has registered again.
func (s *Spoke) Reconnect(ctx context.Context) error {
	before := s.Stats().Connections
	s.Wire.Cut()
	for st := range s.States(ctx) {
		switch {
		case st == spoke.Registered && s.Stats().Connections > before:
			return nil
		case st == spoke.Stopped:
			return spoke.ErrStopped
		}
	}
	return context.Cause(ctx)
}

// Stop ends the context of the spoke's Run and waits for it.
func (s *Spoke) Stop() {
	s.cancel()
	<-s.done
}

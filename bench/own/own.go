// Package own measures hubspoke through its public API, with default options: sessions, deadlines, bounds and
// counters as a user has them. Everybody is let in, so that no other contender's lack of authentication matters.
//
// An operation is a raw JSON echo, or with Setup.Typed one with a Go type at both ends, called with a deadline. In
// W1 the embedding program calls a spoke, in W2 a spoke calls another, and in W5 the embedding program at one hub
// calls a spoke at another hub, with redisbackplane between them. One default is changed, and only where a server is
// measured with clients in another process: a spoke then serves as many calls at once as the growth runs make.
package own

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/loopback"
	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/call/schema"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/spoke"
)

// Name is how it stands in the tables.
const Name = "hubspoke"

// Contender is hubspoke.
func Contender() contender.Contender {
	return contender.Contender{Name: Name, Call: Call, Route: Route, Across: Across, Serve: Serve, Dial: Dial}
}

const (
	operation = "bench.echo"
	topic     = "bench.topic"
)

// message is what workloads send, as a Go type.
type message struct {
	Seq string `json:"seq"`
	Pad string `json:"pad"`
}

// node is a hub and the HTTP server that it is in.
type node struct {
	hub  *hub.Hub
	http *loopback.Server
}

func newNode(s contender.Setup, backplane *hub.Backplane) (*node, error) {
	h, err := hub.New(&hub.Options{AllowAnonymous: true, Backplane: backplane})
	if err != nil {
		return nil, err
	}
	srv, err := loopback.Serve(s, h)
	if err != nil {
		h.Close()
		return nil, err
	}
	return &node{hub: h, http: srv}, nil
}

func (n *node) Close() error {
	n.hub.Close()
	return n.http.Close()
}

// client is a spoke that runs.
type client struct {
	spoke  *spoke.Spoke
	cancel context.CancelFunc
	ran    sync.WaitGroup
	err    error // of Run, to be read when it has ended
}

// spokeID names the client of that number.
func spokeID(number int) string { return "client-" + strconv.Itoa(number) }

// connect runs a spoke with the operations, and returns when it is registered.
func connect(ctx context.Context, s contender.Setup, addr string, options spoke.Options, operations int) (*client, error) {
	var err error
	if options.HTTPClient, err = loopback.Client(s); err != nil {
		return nil, err
	}
	sp, err := spoke.New(loopback.URL(s, addr), &options)
	if err != nil {
		return nil, err
	}
	if err := register(sp.Operations(), s, operations); err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(context.Background())
	c := &client{spoke: sp, cancel: cancel}
	c.ran.Go(func() { c.err = sp.Run(running) })
	if err := sp.Ready(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("own: %s is not ready: %w", options.ID, err), c.Close())
	}
	return c, nil
}

func (c *client) Close() error {
	c.cancel()
	c.ran.Wait()
	if !errors.Is(c.err, context.Canceled) {
		return c.err
	}
	return nil
}

// register adds the echo, and others of other names to make up the number.
func register(r *call.Registry, s contender.Setup, operations int) error {
	var described call.Operation
	if s.Schemas {
		derived, err := schema.For[message]()
		if err != nil {
			return err
		}
		described.InputSchema, described.OutputSchema = derived, derived
	}
	for i := range operations {
		op := described
		op.Name = operation
		if i > 0 {
			op.Name += strconv.Itoa(i)
		}
		var err error
		if s.Typed {
			err = call.Handle(r, op, echoTyped)
		} else {
			err = call.Handle(r, op, echo)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func echo(_ context.Context, in json.RawMessage) (json.RawMessage, error) { return in, nil }

func echoTyped(_ context.Context, in message) (message, error) { return in, nil }

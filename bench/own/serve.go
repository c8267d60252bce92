package own

import (
	"context"
	"errors"
	"fmt"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/spoke"
)

// maxInFlight is the most that a hub sends to one spoke.
const maxInFlight = 4096

// server is the serving side of W3, W4 and W6.
type server struct {
	*node
	events pubsub.EventTarget
}

// Serve starts the serving side.
func Serve(s contender.Setup) (contender.Server, error) {
	n, err := newNode(s, nil)
	if err != nil {
		return nil, err
	}
	return &server{node: n, events: n.hub.Events()}, nil
}

func (s *server) Addr() string { return s.http.Addr() }

func (s *server) Publish(payload []byte) error {
	return s.events.Dispatch(context.Background(), pubsub.Event{Topic: topic, Payload: payload})
}

func (s *server) Call(ctx context.Context, i int, payload []byte) ([]byte, error) {
	out, err := s.hub.Call(ctx, &call.Request{Operation: operation, Input: payload, To: spokeID(i)})
	return out.Data, err
}

// connection is a spoke that may have subscribed.
type connection struct {
	*client
	stop func()
}

// Dial is one client.
func Dial(ctx context.Context, s contender.Setup, c contender.Client) (contender.Connection, error) {
	sp, err := connect(ctx, s, s.Addr, spoke.Options{ID: spokeID(c.Number), MaxInFlight: maxInFlight}, max(s.Operations, 1))
	if err != nil {
		return nil, err
	}
	if !s.Publish {
		return sp, nil
	}
	stop, err := sp.spoke.Events().Listen(ctx, topic, func(ev pubsub.Event) {
		// A gap has no payload: whoever counts finds the deliveries that are missing.
		if !ev.Gap {
			c.Deliver(ev.Payload)
		}
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("own: %w", err), sp.Close())
	}
	return &connection{client: sp, stop: stop}, nil
}

func (c *connection) Close() error {
	c.stop()
	return c.client.Close()
}

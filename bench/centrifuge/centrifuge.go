// Package centrifuge measures the centrifuge library as a server, with centrifuge-go as its client, over WebSocket
// with the JSON protocol: it is what the library's documentation starts with, what clients use
// unless they ask for Protobuf, and what carries the payload as the JSON that it is.
//
// A server of centrifuge cannot call a client and wait for the answer, so in W1 the client calls the server by
// RPC. Registration is a subscription to a channel of the client's own. In W3 the server publishes to one channel,
// without history, to which all have subscribed; since what is published just after a subscription is answered may
// still be dropped, such a client makes an RPC before it counts as usable. The engine is in memory, except in W5.
//
// W2 and the W5 row "centrifuge" are made of what there is: the caller is a client that publishes to the
// callee's channel, and the callee a client that publishes the answer to the caller's, with a number around the
// payload to find the call by. The W5 row "centrifuge survey" has node A survey node B, which passes the
// request to the callee, a client of it, by a message, and answers the survey with the message that comes back. In
// W5 all that would wait for Redis is done in goroutines of its own, as the documentation recommends: otherwise
// one connection's publishes would wait for one another.
//
// What differs from the defaults: clients have half a minute for the handshake, so that thousands may connect at
// once, and each node has its own metrics registry, so that there can be two. Pings, queues (1 MB a
// client, beyond which it would be disconnected) and timeouts are as the libraries have them, the time for a
// reply among them: centrifuge-go keeps a goroutine for each request that long, answered or not. There is no log.
package centrifuge

import (
	"context"
	"errors"
	"time"

	"github.com/alkdev/hubspoke/bench/contender"
)

const patience = 30 * time.Second

var (
	errNoTLS  = errors.New("centrifuge: not set up for TLS here")
	errNoCall = errors.New("centrifuge: a server cannot call its clients")
)

// Contenders are centrifuge, and its survey as another way from node to node.
func Contenders() []contender.Contender {
	return []contender.Contender{
		{
			Name:   "centrifuge",
			Call:   newRPC,
			Route:  newRoute,
			Across: newAcross,
			Serve:  serve,
			Dial:   dial,
		},
		{Name: "centrifuge survey", Across: newSurvey},
	}
}

// rpc is W1: one client that calls the server.
type rpc struct {
	node   *node
	client *spoke
}

func newRPC(s contender.Setup) (contender.Caller, error) {
	n, err := startNode(s, hooks{})
	if err != nil {
		return nil, err
	}
	c, err := prepare(s, n.Addr())
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	r := &rpc{n, c}
	if err := c.connect(context.Background()); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *rpc) Call(ctx context.Context, payload []byte) ([]byte, error) {
	reply, err := r.client.RPC(ctx, "echo", payload)
	return reply.Data, err
}

func (r *rpc) Close() error { return errors.Join(r.client.Close(), r.node.Close()) }

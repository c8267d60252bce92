// Package nats measures NATS: an embedded nats-server without authentication, logging or JetStream, and
// nats.go as a user would use it, over TCP and over its own WebSocket.
//
// In W1 and W5 the caller is a connection within the process (nats.InProcessServer), as the hub is where the
// product makes a call, and the callee a client over the network. In W2 both are clients over the network. An
// operation is a subject with one Subscribe, and its handler responds in the subscription's goroutine. In W3
// the server publishes by an in-process connection to one subject. Each client serves a subject of its own
// besides (its registration), and has flushed before it counts as usable.
//
// What differs from the defaults: a client keeps any number of pending messages, so that a burst drops none,
// and has half a minute to connect, so that thousands may connect at once. Everything else, keep-alives too,
// is as the libraries have it. A message that is dropped in spite of that is an error.
package nats

import (
	"context"
	"errors"

	"github.com/nats-io/nats-server/v2/server"
	client "github.com/nats-io/nats.go"

	"github.com/alkdev/hubspoke/bench/contender"
)

var errNoTLS = errors.New("nats: not set up for TLS here")

// Contenders are NATS over TCP, over WebSocket, and as a cluster of two without Redis.
func Contenders() []contender.Contender {
	return []contender.Contender{
		overNetwork("NATS (tcp)", (*server.Server).ClientURL, "nats://"),
		overNetwork("NATS (ws)", (*server.Server).WebsocketURL, "ws://"),
		{Name: "NATS cluster (no Redis)", Across: across},
	}
}

// overNetwork has the clients connect to the URL that a server gives, or with the scheme to an address.
func overNetwork(name string, url func(*server.Server) string, scheme string) contender.Contender {
	return contender.Contender{
		Name: name,
		Call: func(s contender.Setup) (contender.Caller, error) {
			return newPair(s, url, false)
		},
		Route: func(s contender.Setup) (contender.Caller, error) {
			return newPair(s, url, true)
		},
		Serve: func(s contender.Setup) (contender.Server, error) {
			return serve(s, url)
		},
		Dial: func(ctx context.Context, s contender.Setup, c contender.Client) (contender.Connection, error) {
			return dial(ctx, s, c, scheme+s.Addr)
		},
	}
}

// pair is a caller and a callee, and the servers between them.
type pair struct {
	servers        []*server.Server
	caller, callee *connection
	subject        string
}

// newPair starts a server and both connections. The caller is in-process unless it is remote.
func newPair(s contender.Setup, url func(*server.Server) string, remote bool) (_ contender.Caller, err error) {
	if s.TLS {
		return nil, errNoTLS
	}
	p := &pair{subject: subject(0)}
	defer func() {
		if err != nil {
			_ = p.Close()
		}
	}()
	srv, err := start(nil)
	if err != nil {
		return nil, err
	}
	p.servers = append(p.servers, srv)
	if p.callee, err = answering(url(srv)); err != nil {
		return nil, err
	}
	if remote {
		p.caller, err = connect(context.Background(), url(srv))
	} else {
		p.caller, err = connect(context.Background(), "", client.InProcessServer(srv))
	}
	return p, err
}

// answering is client 0 with one operation, as the server knows.
func answering(url string) (*connection, error) {
	c, err := connect(context.Background(), url)
	if err != nil {
		return nil, err
	}
	if err = c.register(0, 1); err == nil {
		err = c.flush()
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Call is one request, answered with what it carries.
func (p *pair) Call(ctx context.Context, payload []byte) ([]byte, error) {
	return p.caller.request(ctx, p.subject, payload)
}

// Close also says whether anything was dropped.
func (p *pair) Close() error {
	var errs []error
	for _, c := range []*connection{p.caller, p.callee} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	for _, srv := range p.servers {
		errs = append(errs, stop(srv))
	}
	return errors.Join(errs...)
}

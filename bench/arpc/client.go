package arpc

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/lesismal/arpc"

	"github.com/alkdev/hubspoke/bench/contender"
)

// spoke is one client.
type spoke struct {
	client *arpc.Client
	ended  chan struct{}
}

// dial connects and registers. With Operations it has as many methods, as the server needs none of their names.
func dial(ctx context.Context, s contender.Setup, n network, who contender.Client) (contender.Connection, error) {
	c, err := connect(ctx, s, n, who)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func connect(ctx context.Context, s contender.Setup, n network, who contender.Client) (*spoke, error) {
	if s.TLS {
		return nil, errNoTLS
	}
	c := &spoke{ended: make(chan struct{})}
	on := arpc.NewHandler()
	on.HandleConnected(keepNoDelay)
	on.HandleDisconnected(func(*arpc.Client) { close(c.ended) })
	on.Handle(echo, answer, false)
	for i := 1; i < s.Operations; i++ {
		on.Handle(echo+"."+strconv.Itoa(i), answer, false)
	}
	if s.Publish {
		on.Handle(news, func(m *arpc.Context) { who.Deliver(m.Body()) }, false)
	}
	var err error
	c.client, err = arpc.NewClient(func() (net.Conn, error) { return n.dial(s.Addr) }, on)
	if err != nil {
		return nil, fmt.Errorf("arpc: dial: %w", err)
	}
	if _, err = call(ctx, c.client, register, []byte(strconv.Itoa(who.Number))); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("arpc: register: %w", err)
	}
	return c, nil
}

// answer is the echo. Where it fails the caller has no reply, and says so.
func answer(c *arpc.Context) { _ = c.Write(c.Body()) }

func (c *spoke) Close() error {
	c.client.Stop()
	<-c.ended
	return nil
}

package nats

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	client "github.com/nats-io/nats.go"

	"github.com/alkdev/hubspoke/bench/contender"
)

// across is a cluster of two servers that are routed to each other directly: what a cross-node call costs where
// there is no Redis. The caller is in the first server's process, the callee a client of the second over TCP.
func across(s contender.Setup) (_ contender.Caller, err error) {
	if s.TLS {
		return nil, errNoTLS
	}
	p := &pair{subject: subject(0)}
	defer func() {
		if err != nil {
			_ = p.Close()
		}
	}()
	near, err := start(func(o *server.Options) { o.ServerName, o.Cluster = "near", clustered() })
	if err != nil {
		return nil, err
	}
	p.servers = append(p.servers, near)
	far, err := start(func(o *server.Options) {
		o.ServerName, o.Cluster = "far", clustered()
		o.Routes = []*url.URL{{Scheme: "nats", Host: near.ClusterAddr().String()}}
	})
	if err != nil {
		return nil, err
	}
	p.servers = append(p.servers, far)
	if p.callee, err = answering(far.ClientURL()); err != nil {
		return nil, err
	}
	if p.caller, err = connect(context.Background(), "", client.InProcessServer(near)); err != nil {
		return nil, err
	}
	return p, p.reach()
}

func clustered() server.ClusterOpts {
	return server.ClusterOpts{Name: "bench", Host: loopback, Port: server.RANDOM_PORT}
}

// reach returns when the first server has learnt of the callee from the second. Nothing reports that, so it asks.
func (p *pair) reach() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		_, err := p.Call(ctx, []byte("{}"))
		if err == nil {
			return nil
		}
		if !errors.Is(err, client.ErrNoResponders) {
			return fmt.Errorf("nats: cluster: %w", err)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("nats: cluster: %w", ctx.Err())
		}
	}
}

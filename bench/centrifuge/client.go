package centrifuge

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	sdk "github.com/centrifugal/centrifuge-go"

	"github.com/alkdev/hubspoke/bench/contender"
)

// news is the channel of W3.
const news = "news"

// channel is that of a client's first operation.
func channel(number int) string { return "svc." + strconv.Itoa(number) }

// spoke is a client.
type spoke struct {
	*sdk.Client
	failed  chan error      // has the first failure
	settled []chan struct{} // are closed as the server has taken the connection, and each subscription
}

func dial(ctx context.Context, s contender.Setup, who contender.Client) (contender.Connection, error) {
	c, err := prepare(s, s.Addr)
	if err != nil {
		return nil, err
	}
	for i := range max(s.Operations, 1) {
		name := channel(who.Number)
		if i > 0 {
			name += "." + strconv.Itoa(i)
		}
		err = errors.Join(err, c.subscribe(name, func([]byte) {}))
	}
	if s.Publish {
		err = errors.Join(err, c.subscribe(news, who.Deliver))
	}
	if err == nil {
		err = c.connect(ctx)
	}
	if err == nil && s.Publish {
		err = c.flush(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// prepare makes a client that is not connected yet.
func prepare(s contender.Setup, addr string) (*spoke, error) {
	if s.TLS {
		return nil, errNoTLS
	}
	c := &spoke{
		Client: sdk.NewJsonClient("ws://"+addr+"/", sdk.Config{HandshakeTimeout: patience}),
		failed: make(chan error, 1),
	}
	settle := c.settling()
	c.OnConnected(func(sdk.ConnectedEvent) { settle() })
	c.OnError(func(e sdk.ErrorEvent) { c.fail(e.Error) })
	return c, nil
}

// subscribe has the client subscribe once it connects. A publication's bytes are handle's to keep.
func (c *spoke) subscribe(channel string, handle func([]byte)) error {
	sub, err := c.NewSubscription(channel)
	if err != nil {
		return fmt.Errorf("centrifuge: subscribe: %w", err)
	}
	settle := c.settling()
	sub.OnSubscribed(func(sdk.SubscribedEvent) { settle() })
	sub.OnError(func(e sdk.SubscriptionErrorEvent) { c.fail(e.Error) })
	sub.OnUnsubscribed(func(e sdk.UnsubscribedEvent) { c.fail(errors.New("unsubscribed: " + e.Reason)) })
	sub.OnPublication(func(e sdk.PublicationEvent) { handle(e.Data) })
	return sub.Subscribe()
}

// settling is one thing more to wait for, which has happened when the function is called.
func (c *spoke) settling() func() {
	done := make(chan struct{})
	c.settled = append(c.settled, done)
	return sync.OnceFunc(func() { close(done) })
}

func (c *spoke) fail(err error) {
	select {
	case c.failed <- err:
	default:
	}
}

// connect returns when the server has taken the connection and all subscriptions. It does not try again: a
// measurement with retries in it would be one of something else.
func (c *spoke) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := c.Connect(); err != nil {
		return fmt.Errorf("centrifuge: connect: %w", err)
	}
	for _, done := range c.settled {
		select {
		case <-done:
		case err := <-c.failed:
			return fmt.Errorf("centrifuge: connect: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("centrifuge: connect: %w", ctx.Err())
		}
	}
	return nil
}

// flush returns when the server has finished with all requests before. It drops what is published to a channel
// until shortly after it has answered the subscription.
func (c *spoke) flush(ctx context.Context) error {
	if _, err := c.RPC(ctx, "echo", []byte("{}")); err != nil {
		return fmt.Errorf("centrifuge: flush: %w", err)
	}
	return nil
}

func (c *spoke) Close() error {
	c.Client.Close()
	return nil
}

package nats

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	client "github.com/nats-io/nats.go"

	"github.com/alkdev/hubspoke/bench/contender"
)

// patience is for connecting and flushing while thousands of others do.
const patience = 30 * time.Second

// news is the subject of W3.
const news = "news"

// subject is that of a client's first operation.
func subject(number int) string { return "svc." + strconv.Itoa(number) }

// connection is a client of the server that remembers what went wrong out of sight.
type connection struct {
	nc     *client.Conn
	failed atomic.Pointer[error]
}

func connect(ctx context.Context, url string, options ...client.Option) (*connection, error) {
	wait := patience
	if at, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(at))
	}
	c := &connection{}
	var err error
	c.nc, err = client.Connect(url, append(options,
		client.Timeout(wait),
		client.ErrorHandler(func(_ *client.Conn, _ *client.Subscription, err error) {
			c.failed.CompareAndSwap(nil, &err)
		}),
	)...)
	if err != nil {
		return nil, fmt.Errorf("nats: connect: %w", err)
	}
	return c, nil
}

// dial is a client in a process of its own: registered, subscribed, and known to the server to be so.
func dial(ctx context.Context, s contender.Setup, who contender.Client, url string) (contender.Connection, error) {
	if s.TLS {
		return nil, errNoTLS
	}
	c, err := connect(ctx, url)
	if err != nil {
		return nil, err
	}
	err = c.register(who.Number, max(s.Operations, 1))
	if err == nil && s.Publish {
		err = c.subscribe(news, func(m *client.Msg) { who.Deliver(m.Data) })
	}
	if err == nil {
		err = c.flush()
	}
	if err != nil {
		c.nc.Close()
		return nil, err
	}
	return c, nil
}

// register subscribes to the subjects of a client's operations, which all echo.
func (c *connection) register(number, operations int) error {
	name := subject(number)
	for i := range operations {
		if i > 0 {
			name = subject(number) + "." + strconv.Itoa(i)
		}
		if err := c.subscribe(name, c.echo); err != nil {
			return err
		}
	}
	return nil
}

func (c *connection) echo(m *client.Msg) {
	if err := m.Respond(m.Data); err != nil {
		c.failed.CompareAndSwap(nil, &err)
	}
}

func (c *connection) subscribe(subject string, handle client.MsgHandler) error {
	sub, err := c.nc.Subscribe(subject, handle)
	if err != nil {
		return fmt.Errorf("nats: subscribe: %w", err)
	}
	return sub.SetPendingLimits(-1, -1)
}

func (c *connection) flush() error { return c.nc.FlushTimeout(patience) }

func (c *connection) request(ctx context.Context, subject string, payload []byte) ([]byte, error) {
	reply, err := c.nc.RequestWithContext(ctx, subject, payload)
	if err != nil {
		return nil, err
	}
	return reply.Data, nil
}

// err is the first failure that NATS reported by its callback, such as a dropped message.
func (c *connection) err() error {
	if e := c.failed.Load(); e != nil {
		return fmt.Errorf("nats: reported: %w", *e)
	}
	return nil
}

func (c *connection) Close() error {
	err := c.err()
	c.nc.Close()
	return err
}

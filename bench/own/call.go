package own

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/spoke"
)

// deadline is that of a typed call.
const deadline = 30 * time.Second

// caller makes calls with a hub or a spoke.
type caller struct {
	call  call.Caller
	typed bool
	parts []io.Closer // in the order in which they were made
}

// start gives the caller that open has filled; when open fails what it has made is closed.
func start(s contender.Setup, open func(ctx context.Context, c *caller) error) (contender.Caller, error) {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	c := &caller{typed: s.Typed}
	if err := open(ctx, c); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Call is W1.
func Call(s contender.Setup) (contender.Caller, error) {
	return start(s, func(ctx context.Context, c *caller) error {
		n, err := newNode(s, nil)
		if err != nil {
			return err
		}
		c.parts = append(c.parts, n)
		c.call = n.hub
		return c.callee(ctx, s, n)
	})
}

// Route is W2.
func Route(s contender.Setup) (contender.Caller, error) {
	return start(s, func(ctx context.Context, c *caller) error {
		n, err := newNode(s, nil)
		if err != nil {
			return err
		}
		c.parts = append(c.parts, n)
		if err := c.callee(ctx, s, n); err != nil {
			return err
		}
		sp, err := connect(ctx, s, n.http.Addr(), spoke.Options{ID: "caller"}, 0)
		if err != nil {
			return err
		}
		c.parts = append(c.parts, sp)
		c.call = sp.spoke
		return nil
	})
}

// callee connects the spoke that is called to a node.
func (c *caller) callee(ctx context.Context, s contender.Setup, n *node) error {
	sp, err := connect(ctx, s, n.http.Addr(), spoke.Options{ID: "callee"}, 1)
	if err != nil {
		return err
	}
	c.parts = append(c.parts, sp)
	return nil
}

func (c *caller) Call(ctx context.Context, payload []byte) ([]byte, error) {
	if c.typed {
		return c.callTyped(ctx, payload)
	}
	out, err := c.call.Call(ctx, &call.Request{Operation: operation, Input: payload})
	return out.Data, err
}

// What stands in a payload around the values of its two members.
const (
	head = `{"seq":"`
	mid  = `","pad":"`
	tail = `"}`
)

// callTyped makes of the payload what a typed program has in hand, without what JSON costs, since that program does
// not pay for it. These three strings and the reply's bytes are the harness's: 3 objects a call.
func (c *caller) callTyped(ctx context.Context, payload []byte) ([]byte, error) {
	seq, pad, found := bytes.Cut(payload[len(head):len(payload)-len(tail)], []byte(mid))
	if !found {
		return nil, errors.New("own: the payload is not of the type")
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	out, err := call.Invoke[message](ctx, c.call, operation, message{Seq: string(seq), Pad: string(pad)})
	if err != nil {
		return nil, err
	}
	reply := make([]byte, 0, len(payload))
	reply = append(append(append(reply, head...), out.Seq...), mid...)
	return append(append(reply, out.Pad...), tail...), nil
}

// Close ends what was made last first.
func (c *caller) Close() error {
	var errs []error
	for _, part := range slices.Backward(c.parts) {
		errs = append(errs, part.Close())
	}
	return errors.Join(errs...)
}

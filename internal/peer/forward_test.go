package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/transport"
)

// chain is caller - hub - handler: what the caller asks is forwarded.
type chain struct {
	caller, near, far, handler *side
}

func newChain(t *testing.T, h call.Handler) *chain {
	t.Helper()
	c := &chain{}
	c.far, c.handler = join(t, config{}, serving(h))
	x, y := transport.Pipe(nil)
	c.caller = newSide(t, x, config{IDPrefix: "c-"}, session.Options{})
	c.near = newSide(t, y, config{Serve: func(_ context.Context, in *Incoming) *call.Error {
		leg := in.Request
		leg.Timeout = -1 // what is left is in the context
		if in.Request.Timeout == 0 {
			leg.Timeout = 0
		}
		return c.far.Peer.Do(in, &leg)
	}}, session.Options{})
	return c
}

func (c *chain) wantQuiet(t *testing.T) {
	t.Helper()
	synctest.Wait()
	n, _ := c.caller.InFlight()
	m, _ := c.far.InFlight()
	if n+m+c.near.Serving()+c.handler.Serving() != 0 {
		t.Errorf("in flight %d and %d, served %d and %d", n, m, c.near.Serving(), c.handler.Serving())
	}
}

func TestForwardUnary(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newChain(t, func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
			if string(req.Input) == "1" {
				return &call.Error{Code: "OWN", Message: "m", Retryable: true, Details: []byte(`{"a":1}`)}
			}
			return send(call.Envelope{Data: fmt.Appendf(nil, "%q", req.OriginID)})
		})
		out, err := c.caller.Call(t.Context(), unary("x.y", ""))
		if err != nil || !strings.HasPrefix(data(t, out), `"c-`) {
			t.Errorf("%s, %v: the first caller's id goes along", out, err)
		}
		_, err = c.caller.Call(t.Context(), unary("x.y", "1"))
		if e := wantError(t, err, "OWN", true); !e.Retryable || !strings.Contains(string(e.Details), `"a":1`) || e.Message != "m" {
			t.Errorf("%+v", e)
		}
		c.wantQuiet(t)
	})
}

func TestForwardPassesCreditThrough(t *testing.T) {
	for _, window := range []int{1, 2, 5, 32, 200} {
		bubble.Test(t, func(t *testing.T) {
			var sent atomic.Int64
			c := newChain(t, produce(&sent, 300))
			o := open(t, c.caller, stream("x.s", ""), window)
			for i := range 300 {
				synctest.Wait()
				if ahead := int(sent.Load()) - i; ahead > window || ahead < 1 {
					t.Fatalf("window %d: %d ahead of the reader after %d", window, ahead, i)
				}
				wantNext(t, o, fmt.Sprint(i))
			}
			if _, err := o.Next(t.Context()); !errors.Is(err, io.EOF) {
				t.Errorf("the end: %v", err)
			}
			c.wantQuiet(t)
		})
	}
}

// A reader that gives no credit at first, and then some by and by, one at a time.
func TestForwardOfALaterCredit(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var sent atomic.Int64
		far, _ := join(t, config{}, serving(produce(&sent, 5)))
		_, w := wired(t, config{Serve: func(_ context.Context, in *Incoming) *call.Error {
			leg := in.Request
			return far.Peer.Do(in, &leg)
		}})
		w.send(`call.requested {"requestId":"1","operationId":"x.s","stream":true,"credit":0}`)
		w.wantNothing()
		for i := range 5 {
			w.send(`call.credit {"requestId":"1","credit":1}`)
			w.want("call.responded", fmt.Sprintf(`"data":%d`, i))
			if i < 4 {
				w.wantNothing()
			}
			if n := sent.Load(); n != int64(i+1) {
				t.Errorf("%d sent for %d of credit", n, i+1)
			}
		}
		w.want("call.completed", "")
	})
}

// A caller that gives no credit takes all; the hub bounds what is on its way.
func TestForwardWithoutCredit(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var sent atomic.Int64
		c := newChain(t, produce(&sent, 900))
		o := open(t, c.caller, stream("x.s", ""), noCredit)
		for i := range 900 {
			wantNext(t, o, fmt.Sprint(i))
		}
		if _, err := o.Next(t.Context()); !errors.Is(err, io.EOF) {
			t.Errorf("the end: %v", err)
		}
		c.wantQuiet(t)
	})
}

func TestForwardCancel(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		causes := make(chan error, 1)
		c := newChain(t, func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
			_ = send(call.Envelope{})
			err := until(ctx, req, send)
			causes <- err
			return err
		})
		ctx, cancel := context.WithCancel(t.Context())
		o := open(t, c.caller, stream("x.s", ""), 0)
		wantNext(t, o, "null")
		go func() { after(time.Second); cancel() }()
		_, err := o.Next(ctx)
		wantError(t, err, call.CodeAborted, true)
		if err := <-causes; !errors.Is(err, call.CodeAborted) {
			t.Errorf("the handler's cause: %v", err)
		}
		c.wantQuiet(t)
	})
}

// A hub whose forwarded call runs out of time answers TIMEOUT at once and aborts the handler.
func TestForwardTimeout(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newChain(t, func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
			after(10 * time.Second) // deaf to its context
			return nil
		})
		_, w := wired(t, c.near.side.(*testSide).funcs)
		w.send(`call.requested {"requestId":"1","operationId":"x.y","timeout":1000}`)
		start := time.Now()
		f := w.want("call.error", `"TIMEOUT"`)
		if d := time.Since(start); d != time.Second || !parsedError(f.Payload).Sent {
			t.Errorf("%s after %v", f.Payload, d)
		}
		if c.handler.Serving() != 1 {
			t.Error("the slot of a handler at work is free")
		}
		after(10 * time.Second)
		c.wantQuiet(t)
	})
}

func TestForwardFailsInTheMiddle(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var c *chain
		c = newChain(t, func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
			_ = send(call.Envelope{Data: []byte("1")})
			switch req.Operation {
			case "x.error":
				return call.Errorf("OWN", "in the middle")
			case "x.lost":
				after(time.Second) // until the first has arrived
				c.handler.conn.Abort()
			case "x.big":
				return send(call.Envelope{Data: []byte(`"` + strings.Repeat("x", 1000) + `"`)})
			}
			return until(ctx, req, send)
		})
		c.near.SetRemote(500, 0)
		for _, x := range []struct {
			op   string
			code call.Code
		}{{"x.error", "OWN"}, {"x.big", call.CodeMessageTooLarge}, {"x.lost", call.CodeDisconnected}} {
			o := open(t, c.caller, stream(x.op, ""), 0)
			wantNext(t, o, "1")
			_, err := o.Next(t.Context())
			wantError(t, err, x.code, true)
			c.wantQuiet(t)
		}
		_, err := c.caller.Call(t.Context(), unary("x.y", "")) // the far side is gone before the request left
		wantError(t, err, call.CodeDisconnected, false)
	})
}

// The caller goes away: its calls are aborted through the hub.
func TestForwardCallerGoesAway(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		causes := make(chan error, 2)
		c := newChain(t, func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
			err := until(ctx, req, send)
			causes <- err
			return err
		})
		go c.caller.Call(t.Context(), unary("x.y", ""))
		open(t, c.caller, stream("x.s", ""), 0)
		synctest.Wait()
		c.caller.conn.Abort()
		for range 2 {
			if err := <-causes; !errors.Is(err, call.CodeAborted) {
				t.Errorf("the handler's cause: %v", err)
			}
		}
		c.wantQuiet(t)
	})
}

package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/bubble"
)

// produce sends numbers until it may not, and counts what it has sent.
func produce(sent *atomic.Int64, most int64) call.Handler {
	return func(_ context.Context, _ *call.Request, send func(call.Envelope) error) error {
		for i := range most {
			if err := send(call.Envelope{Data: fmt.Append(nil, i)}); err != nil {
				return err
			}
			sent.Add(1)
		}
		return nil
	}
}

// noCredit is the window of a stream whose handler sends what it wants, as callers of other implementations may ask.
const noCredit = -1

func open(t *testing.T, p *side, req *call.Request, window int) *Outgoing {
	t.Helper()
	o := new(Outgoing)
	if req.Stream && window != noCredit {
		o.credit.init(window, unlimited)
	}
	if err := p.open(t.Context(), o, req); err != nil {
		t.Fatal(err)
	}
	return o
}

func wantNext(t *testing.T, o *Outgoing, want string) {
	t.Helper()
	out, err := o.Next(t.Context())
	if err != nil || data(t, out) != want {
		t.Errorf("Next = %s, %v; want %s", out, err, want)
	}
}

// A producer stops exactly at the credit and goes on when there is more.
func TestProducerStopsAtTheCredit(t *testing.T) {
	for _, window := range []int{1, 2, 3, 7, call.DefaultCredit} {
		bubble.Test(t, func(t *testing.T) {
			var sent atomic.Int64
			a, b := join(t, config{}, serving(produce(&sent, 500)))
			o := open(t, a, stream("x.s", ""), window)
			for i := range 500 {
				synctest.Wait()
				if ahead := int(sent.Load()) - i; ahead > window || ahead < min(window/2, 500-i) {
					t.Fatalf("window %d: %d ahead of the reader after %d", window, ahead, i)
				}
				wantNext(t, o, fmt.Sprint(i))
			}
			if _, err := o.Next(t.Context()); !errors.Is(err, io.EOF) {
				t.Errorf("the end: %v", err)
			}
			synctest.Wait()
			if late := b.cfg.Counters.Late.Load(); late != 0 {
				t.Errorf("%d late frames in an orderly stream", late)
			}
		})
	}
}

// A short stream is over before its reader reads: no credit is sent after it.
func TestNoCreditAfterTheEnd(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var sent atomic.Int64
		a, b := join(t, config{}, serving(produce(&sent, 20)))
		o := open(t, a, stream("x.s", ""), 0)
		synctest.Wait()
		for i := range 20 {
			wantNext(t, o, fmt.Sprint(i))
		}
		synctest.Wait()
		if late := b.cfg.Counters.Late.Load(); late != 0 {
			t.Errorf("%d late frames", late)
		}
	})
}

func TestStreamFailsInTheMiddle(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, _ := join(t, config{}, serving(func(_ context.Context, req *call.Request, send func(call.Envelope) error) error {
			_ = send(call.Envelope{Data: []byte("1")})
			if req.Operation == "x.panic" {
				panic("on purpose")
			}
			return call.Errorf("OUT_OF_STOCK", "no more")
		}))
		for op, code := range map[string]call.Code{"x.error": "OUT_OF_STOCK", "x.panic": call.CodeExecution} {
			o := open(t, a, stream(op, ""), 0)
			wantNext(t, o, "1")
			_, err := o.Next(t.Context())
			wantError(t, err, code, true)
		}
	})
}

func TestStreamAndUnaryMixed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var sent atomic.Int64
		a, b := join(t, config{}, serving(produce(&sent, 3)))
		if out, err := a.Call(t.Context(), unary("x.s", "")); err != nil || data(t, out) != "0" {
			t.Errorf("a unary call of a stream: %s, %v", out, err)
		}
		synctest.Wait()
		if n := sent.Load(); n != 1 || b.Serving() != 0 {
			t.Errorf("the handler sent %d, %d served", n, b.Serving())
		}
		sent.Store(0)
		o := open(t, b, stream("x.none", ""), 0) // a serves nothing
		_, err := o.Next(t.Context())
		wantError(t, err, call.CodeOperationNotFound, false)

		a2, _ := join(t, config{}, serving(echo))
		o = open(t, a2, stream("x.echo", "5"), 0)
		wantNext(t, o, "5")
		if _, err := o.Next(t.Context()); !errors.Is(err, io.EOF) {
			t.Errorf("a stream call of a unary handler: %v", err)
		}
	})
}

// Absent `stream` follows the operation's type.
func TestStreamFollowsTheType(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var sent atomic.Int64
		cfg := serving(produce(&sent, 2))
		cfg.Streams = func(op string) bool { return op == "x.stream" }
		_, w := wired(t, cfg)
		w.send(`call.requested {"requestId":"1","operationId":"x.stream"}`)
		w.want("call.responded", `"data":0`)
		w.want("call.responded", `"data":1`)
		w.want("call.completed", `"1"`)
		w.send(`call.requested {"requestId":"2","operationId":"x.unary"}`)
		w.want("call.responded", `"data":0`)
		w.send(`call.requested {"requestId":"3","operationId":"x.stream","stream":false}`)
		w.want("call.responded", `"data":0`)
		w.wantNothing()
	})
}

func TestIdleTimeout(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := join(t, config{}, serving(func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
			for range 3 {
				after(900 * time.Millisecond)
				if err := send(call.Envelope{}); err != nil {
					return err
				}
			}
			return until(ctx, req, send)
		}))
		req := stream("x.s", "")
		req.IdleTimeout = time.Second
		start := time.Now()
		o := open(t, a, req, 0)
		for range 3 {
			wantNext(t, o, "null")
		}
		_, err := o.Next(t.Context())
		wantError(t, err, call.CodeTimeout, true)
		if d := time.Since(start); d != 3700*time.Millisecond {
			t.Errorf("after %v", d)
		}
		synctest.Wait()
		if n, _ := a.InFlight(); n != 0 || b.Serving() != 0 {
			t.Error("the handler was not told")
		}
	})
}

// A stream without credit takes all, within bounds: beyond them it ends with SLOW_CONSUMER.
func TestSlowConsumer(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var sent atomic.Int64
		a, b := join(t, config{}, serving(produce(&sent, 1<<40)))
		o := open(t, a, stream("x.s", ""), noCredit)
		synctest.Wait()
		var err error
		n := 0
		for ; err == nil; n++ {
			_, err = o.Next(t.Context())
		}
		wantError(t, err, call.CodeSlowConsumer, true)
		if n != 1025 || a.cfg.Counters.SlowStreams.Load() != 1 {
			t.Errorf("after %d", n)
		}
		synctest.Wait()
		if left, _ := a.InFlight(); left != 0 || b.Serving() != 0 {
			t.Error("the producer was not told to stop")
		}
	})
}

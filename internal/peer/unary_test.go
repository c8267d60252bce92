package peer

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/bubble"
)

func TestCallsBothWays(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := join(t, serving(echo), serving(echo))
		var wg sync.WaitGroup
		for i := range 50 {
			for _, p := range []*side{a, b} {
				wg.Go(func() {
					out, err := p.Call(t.Context(), unary("x.echo", fmt.Sprint(i)))
					if err != nil || data(t, out) != fmt.Sprint(i) {
						t.Errorf("%s, %v", out, err)
					}
				})
			}
		}
		wg.Wait()
		if n, _ := a.InFlight(); n != 0 || b.Serving() != 0 {
			t.Errorf("%d in flight, %d served", n, b.Serving())
		}
		if err := a.Idle(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// The slot is free when the terminal frame can be read: with one slot and one call after the other
// there is never OVERLOADED.
func TestSlotIsFreeWithTheAnswer(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		cfg := serving(func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
			switch string(req.Input) {
			case "1":
				return errors.New("failed")
			case "2":
				panic("on purpose")
			}
			return echo(ctx, req, send)
		})
		cfg.MaxInFlight = 1
		a, b := join(t, config{}, cfg)
		for i := range 10_000 {
			_, err := a.Call(t.Context(), unary("x.y", fmt.Sprint(i%50)))
			if errors.Is(err, call.CodeOverloaded) {
				t.Fatalf("call %d: %v", i, err)
			}
		}
		for i := range 100 {
			o, err := a.Open(t.Context(), stream("x.y", "0"), 0)
			if err != nil {
				t.Fatal(err)
			}
			for err == nil {
				_, err = o.Next(t.Context())
			}
			if errors.Is(err, call.CodeOverloaded) {
				t.Fatalf("stream %d: %v", i, err)
			}
		}
		if n := b.cfg.Counters.Overloaded.Load(); n != 0 {
			t.Errorf("%d overloaded", n)
		}
	})
}

func TestOverloaded(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		cfg := serving(until)
		cfg.MaxInFlight = 2
		a, b := join(t, config{}, cfg)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { _, err := a.Call(ctx, unary("x.y", "")); wantError(t, err, call.CodeAborted, true) })
		}
		synctest.Wait()
		_, err := a.Call(t.Context(), unary("x.y", ""))
		if e := wantError(t, err, call.CodeOverloaded, false); !e.Retryable {
			t.Error("OVERLOADED is not retryable")
		}
		a.SetRemote(0, 2) // now this side knows
		if _, full := a.InFlight(); !full {
			t.Error("not full")
		}
		_, err = a.Call(t.Context(), unary("x.y", ""))
		wantError(t, err, call.CodeOverloaded, false)
		if n := b.cfg.Counters.Overloaded.Load(); n != 1 {
			t.Errorf("%d overloaded at the handler's side", n)
		}
		cancel()
		wg.Wait()
		synctest.Wait()
		if n, full := a.InFlight(); n != 0 || full {
			t.Errorf("%d in flight", n)
		}
	})
}

func TestHandlerThatDoesNotReturn(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := join(t, config{}, serving(func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
			switch req.Operation {
			case "x.panic":
				panic("secret text")
			case "x.goexit":
				runtime.Goexit()
			case "x.late":
				_ = send(call.Envelope{Data: []byte("1")})
				panic("after the answer")
			case "x.nil":
				var e *call.Error
				return e
			}
			return nil
		}))
		for _, op := range []string{"x.panic", "x.goexit"} {
			_, err := a.Call(t.Context(), unary(op, ""))
			if e := wantError(t, err, call.CodeExecution, true); strings.Contains(e.Error(), "secret") {
				t.Errorf("the panic travelled: %v", e)
			}
		}
		if out, err := a.Call(t.Context(), unary("x.late", "")); err != nil || data(t, out) != "1" {
			t.Errorf("%s, %v", out, err)
		}
		if out, err := a.Call(t.Context(), unary("x.silent", "")); err != nil || data(t, out) != "null" {
			t.Errorf("%s, %v: a handler that sends nothing answers null", out, err)
		}
		if out, err := a.Call(t.Context(), unary("x.nil", "")); err != nil || data(t, out) != "null" {
			t.Errorf("%s, %v: a nil *call.Error is no error", out, err)
		}
		synctest.Wait()
		if n := b.cfg.Counters.Panics.Load(); n != 3 || b.Serving() != 0 {
			t.Errorf("%d panics, %d served", n, b.Serving())
		}
	})
}

func TestTimeout(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var cause error
		a, b := join(t, config{}, serving(func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
			err := until(ctx, req, send)
			cause = err
			return err
		}))
		for _, c := range []struct{ timeout, want time.Duration }{
			{0, call.DefaultTimeout}, {time.Second, time.Second}, {time.Microsecond, time.Microsecond},
		} {
			req, start := unary("x.y", ""), time.Now()
			req.Timeout = c.timeout
			_, err := a.Call(t.Context(), req)
			e := wantError(t, err, call.CodeTimeout, true)
			if d := time.Since(start); d != c.want || !errors.Is(e, context.DeadlineExceeded) {
				t.Errorf("timeout %v after %v: %v", c.timeout, d, e)
			}
			after(time.Millisecond)
			synctest.Wait()
			if !errors.Is(cause, call.CodeTimeout) && !errors.Is(cause, call.CodeAborted) {
				t.Errorf("the handler's context ended with %v", cause)
			}
			if n, _ := a.InFlight(); n != 0 || b.Serving() != 0 {
				t.Errorf("%d in flight, %d served", n, b.Serving())
			}
		}
	})
}

// A very long time is not a very short one.
func TestLongTimeouts(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, _ := join(t, config{}, serving(func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(time.Minute):
				return echo(ctx, req, send)
			}
		}))
		for _, d := range []time.Duration{-1, time.Hour, 1<<63 - 1} {
			req := unary("x.y", "1")
			req.Timeout = d
			if _, err := a.Call(t.Context(), req); err != nil {
				t.Errorf("timeout %v: %v", d, err)
			}
		}
	})
}

func TestMessageTooLarge(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := join(t, config{}, serving(func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
			big := []byte(`"` + strings.Repeat("x", 1000) + `"`)
			switch req.Operation {
			case "x.big":
				return send(call.Envelope{Data: big})
			case "x.error":
				return &call.Error{Code: "OWN", Message: string(big), Retryable: true}
			case "x.stream":
				for range call.DefaultCredit * 2 { // goes on: what was not sent costs no credit
					_ = send(call.Envelope{Data: big})
				}
				return send(call.Envelope{Data: []byte("1")})
			}
			return echo(ctx, req, send)
		}))
		a.SetRemote(500, 0)
		b.SetRemote(500, 0)
		_, err := a.Call(t.Context(), unary("x.echo", `"`+strings.Repeat("x", 500)+`"`))
		wantError(t, err, call.CodeMessageTooLarge, false)
		_, err = a.Call(t.Context(), unary("x.big", ""))
		wantError(t, err, call.CodeMessageTooLarge, true)
		_, err = a.Call(t.Context(), unary("x.error", ""))
		if e := wantError(t, err, "OWN", true); !e.Retryable {
			t.Error("the short error lost its retryable")
		}
		o, err := a.Open(t.Context(), stream("x.stream", ""), 0)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := o.Next(t.Context()); err != nil || data(t, out) != "1" {
			t.Errorf("%s, %v", out, err)
		}
		if n, _ := a.InFlight(); n > 1 {
			t.Errorf("%d in flight", n)
		}
	})
}

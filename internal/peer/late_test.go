package peer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/transport"
)

// A handler that has answered and goes on hears of the end of the session, and of the peer's context, like one that has
// not answered: else nothing would end it, and who waits for it would wait for ever.
func TestHandlerThatGoesOnHearsOfTheEnd(t *testing.T) {
	for name, end := range map[string]func(*side, context.CancelCauseFunc){
		"session": func(s *side, _ context.CancelCauseFunc) { s.End(errCause) },
		"context": func(_ *side, cancel context.CancelCauseFunc) { cancel(errCause) },
	} {
		bubble.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			const n = 20
			ended := make(chan error, n)
			quick := make(chan struct{})
			x, y := transport.Pipe(nil)
			a := newSide(t, x, config{IDPrefix: "a-"}, session.Options{})
			b := sideUnder(ctx, t, y, serving(func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
				_ = send(call.Envelope{Data: req.Input})
				if req.Input[0]%2 == 0 {
					<-quick
					return nil
				}
				<-ctx.Done()
				ended <- context.Cause(ctx)
				return nil
			}), session.Options{})
			for i := range n {
				if _, err := a.Call(t.Context(), unary("x.y", fmt.Sprint(i%10))); err != nil {
					t.Error(err)
				}
			}
			synctest.Wait()
			if b.Serving() != 0 || len(b.late) != n {
				t.Errorf("%d slots taken, %d handlers known", b.Serving(), len(b.late))
			}
			close(quick)
			synctest.Wait()
			if len(b.late) != n/2 {
				t.Errorf("%d handlers known", len(b.late))
			}
			end(b, cancel)
			synctest.Wait()
			if len(ended) != n/2 || len(b.late) != 0 {
				t.Fatalf("%s: %d heard of it, %d are known", name, len(ended), len(b.late))
			}
			for range n / 2 {
				if err := <-ended; name == "context" && !errors.Is(err, errCause) || err == nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

// A context keeps nothing of its handler's: what was derived from it and never canceled ends when the handler returns.
func TestContextEndsWithItsHandler(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var derived []context.Context
		ran := make(chan struct{}, 10)
		a, b := join(t, config{}, serving(func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
			d, cancel := context.WithTimeout(ctx, time.Hour)
			context.AfterFunc(ctx, func() { ran <- struct{}{} })
			t.Cleanup(cancel)
			derived = append(derived, d)
			return send(call.Envelope{Data: req.Input})
		}))
		for range 10 {
			if _, err := a.Call(t.Context(), unary("x.y", "1")); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if len(ran) != 10 || len(b.late) != 0 {
			t.Errorf("%d heard of the end, %d handlers known", len(ran), len(b.late))
		}
		for _, d := range derived {
			if !errors.Is(d.Err(), context.Canceled) {
				t.Errorf("%v", d.Err())
			}
		}
	})
}

// Requests that are forwarded, on the reader or on a goroutine, end with their session: only handlers of this program
// are counted as still running.
func TestForwardedRequestsDoNotOutliveTheirSession(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ctx := t.Context()
		var running atomic.Int64
		x, y := transport.Pipe(nil)
		target := newSide(t, x, serving(func(ctx context.Context, _ *call.Request, _ func(call.Envelope) error) error {
			<-ctx.Done()
			return ctx.Err()
		}), session.Options{})
		toTarget := newSide(t, y, config{IDPrefix: "t-"}, session.Options{})
		release := make(chan struct{})
		cfg := config{Running: &running,
			Relay: func(in *Incoming) bool {
				return in.Request.Operation == "x.relayed" && in.Relay(toTarget.Peer, &in.Request)
			},
			Serve: func(_ context.Context, in *Incoming) *call.Error {
				if in.Request.Operation == "x.own" {
					return in.Handle(func(context.Context, *call.Request, func(call.Envelope) error) error {
						<-release
						return nil
					})
				}
				return toTarget.Peer.Do(in, &in.Request)
			}}
		a, b := join(t, config{}, cfg)
		var calls sync.WaitGroup
		for _, op := range []string{"x.relayed", "x.relayed", "x.forwarded", "x.own"} {
			calls.Go(func() { _, _ = a.Call(ctx, unary(op, "1")) })
		}
		synctest.Wait()
		if target.Serving() != 3 || b.Serving() != 4 {
			t.Fatalf("%d and %d are being served", target.Serving(), b.Serving())
		}
		b.End(errCause)
		if n := running.Load(); n != 1 {
			t.Errorf("%d handlers are counted as running, want 1", n)
		}
		calls.Wait()
		synctest.Wait()
		if n := running.Load(); n != 1 {
			t.Errorf("%d handlers are counted as running, want 1", n)
		}
		close(release)
		b.Wait()
		if n := running.Load(); n != 0 {
			t.Errorf("%d handlers are counted after the last returned", n)
		}
	})
}

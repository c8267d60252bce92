package peer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/transport"
)

// started joins a peer that makes calls with one whose handlers may run on the reader. h is the handler of x.y, which
// has run often enough to do so, with the input 0.
func started(t *testing.T, h call.Handler) (caller, callee *side) {
	t.Helper()
	serve := func(_ context.Context, in *Incoming) *call.Error {
		if in.Request.Operation == "x.echo" {
			return in.Handle(echo)
		}
		return in.Handle(h)
	}
	caller, callee = join(t, serving(echo), config{Serve: serve, Start: true, MaxInFlight: 1000})
	for range quickRuns {
		if _, err := caller.Call(t.Context(), unary("x.y", "0")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // until the handler has returned
	}
	return caller, callee
}

// slowly returns a handler that answers the input 0 at once, and calls f for any other.
func slowly(f func(ctx context.Context) error) call.Handler {
	return func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
		if string(req.Input) == "0" {
			return send(call.Envelope{Data: req.Input})
		}
		return f(ctx)
	}
}

// paceRuns returns what is noted about x.y. Nothing may be on its way.
func (s *side) paceRuns() int32 {
	synctest.Wait()
	return s.paces["x.y"].runs.Load()
}

// A handler that waits delays nothing else for longer than the watch takes to find it, and its operation runs on
// goroutines afterwards, until it has been quick again.
func TestSlowHandlerIsTakenOverFrom(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		caller, callee := started(t, slowly(func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}))
		if n := callee.paceRuns(); n != quickRuns {
			t.Fatalf("%d quick runs are noted", n)
		}
		o := open(t, caller, unary("x.y", "1"), 0)
		begin := time.Now()
		if _, err := caller.Call(t.Context(), unary("x.echo", "2")); err != nil {
			t.Error(err)
		}
		if d := time.Since(begin); d == 0 || d > 2*watchPeriod {
			t.Errorf("another call took %v", d)
		}
		o.Abort("enough")
		for i := range int32(slowRuns - 1) {
			if n := callee.paceRuns(); n != i+1-slowRuns {
				t.Fatalf("after %d calls %d is noted", i, n)
			}
			if _, err := caller.Call(t.Context(), unary("x.y", "0")); err != nil {
				t.Fatal(err)
			}
		}
		for range quickRuns {
			_, _ = caller.Call(t.Context(), unary("x.y", "0"))
		}
		if n := callee.paceRuns(); n != quickRuns {
			t.Errorf("%d quick runs are noted", n)
		}
	})
}

// A handler that takes a while, but less than the watch needs, runs on a goroutine from then on.
func TestSlowHandlerLeavesTheReader(t *testing.T) {
	for _, slow := range []struct {
		took time.Duration
		runs int32
	}{{quickTime - 1, quickRuns}, {quickTime, 0}, {watchPeriod - 1, 0}} {
		bubble.Test(t, func(t *testing.T) {
			caller, callee := started(t, slowly(func(context.Context) error {
				<-time.After(slow.took)
				return nil
			}))
			if _, err := caller.Call(t.Context(), unary("x.y", "1")); err != nil {
				t.Error(err)
			}
			if n := callee.paceRuns(); n != slow.runs {
				t.Errorf("after %v %d is noted", slow.took, n)
			}
		})
	}
}

// An answer that was made on the reader is written before a listener runs there, and before a handler that follows.
func TestAnswersAreNotHeld(t *testing.T) {
	for name, next := range map[string]string{
		"event":   `event {"topic":"x","payload":1}`,
		"control": `__gap {"topic":"x","dropped":1}`,
		"handler": `call.requested {"requestId":"2","operationId":"x.y","input":1}`,
	} {
		bubble.Test(t, func(t *testing.T) {
			wait := func() { <-time.After(time.Second) }
			h := slowly(func(context.Context) error { wait(); return nil })
			cfg := serving(h)
			cfg.Start = true
			cfg.Event = func(string, []byte) { wait() }
			cfg.Control = func(*wire.Message) bool { wait(); return true }
			_, w := wired(t, cfg)
			quick := `call.requested {"requestId":"1","operationId":"x.y","input":0}`
			for range quickRuns {
				w.send(quick)
				w.want("call.responded", "1")
				synctest.Wait()
			}
			begin := time.Now()
			w.send(quick, next)
			w.want("call.responded", "1")
			if d := time.Since(begin); d > 2*watchPeriod {
				t.Errorf("before a slow %s an answer was held for %v", name, d)
			}
		})
	}
}

// A handler on the reader that calls its caller gets the answer at once, although that comes over the same connection.
func TestHandlerOnTheReaderCallsBack(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var callee *side
		caller, callee := started(t, slowly(func(ctx context.Context) error {
			_, err := callee.Call(ctx, unary("x.echo", "3"))
			return err
		}))
		begin := time.Now()
		if _, err := caller.Call(t.Context(), unary("x.y", "1")); err != nil {
			t.Error(err)
		}
		if d := time.Since(begin); d != 0 {
			t.Errorf("the call took %v", d)
		}
	})
}

// Answers of a handler on the reader are written although it does not return.
func TestHandlerOnTheReaderAnswersAndContinues(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		caller, _ := started(t, func(_ context.Context, req *call.Request, send func(call.Envelope) error) error {
			err := send(call.Envelope{Data: req.Input})
			if string(req.Input) != "0" {
				<-release
			}
			return err
		})
		begin := time.Now()
		if _, err := caller.Call(t.Context(), unary("x.y", "1")); err != nil {
			t.Error(err)
		}
		if d := time.Since(begin); d > 2*watchPeriod {
			t.Errorf("the call took %v", d)
		}
	})
}

// A handler on the reader that panics, or ends its goroutine, ends its call and nothing else.
func TestHandlerOnTheReaderEnds(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("ow") }, "Goexit": runtime.Goexit} {
		bubble.Test(t, func(t *testing.T) {
			caller, _ := started(t, slowly(func(context.Context) error { end(); return nil }))
			for range 3 {
				_, err := caller.Call(t.Context(), unary("x.y", "1"))
				wantError(t, err, call.CodeExecution, true)
				if _, err := caller.Call(t.Context(), unary("x.y", "0")); err != nil {
					t.Errorf("after a %s: %v", name, err)
				}
			}
		})
	}
}

// The end of a connection is noticed while a handler is on its reader.
func TestConnectionEndsUnderAHandlerOnTheReader(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		release, running := make(chan struct{}), make(chan struct{})
		caller, callee := started(t, slowly(func(context.Context) error {
			close(running)
			<-release
			return nil
		}))
		open(t, caller, unary("x.y", "1"), 0)
		<-running
		caller.conn.Abort()
		begin := time.Now()
		<-callee.ran
		if d := time.Since(begin); d > 2*watchPeriod {
			t.Errorf("it was noticed after %v", d)
		}
		close(release)
		callee.Wait()
	})
}

// Whatever handlers do, each call has its own answer, and the connection is read.
func TestHandlersOnTheReaderAtRandom(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var callee *side
		h := func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
			var n int
			_, _ = fmt.Sscan(string(req.Input), &n)
			switch n % 50 {
			case 1:
				<-time.After(time.Duration(n) * 100 * time.Microsecond)
			case 2:
				if _, err := callee.Call(ctx, unary("x.echo", "1")); err != nil {
					return err
				}
			case 3:
				runtime.Gosched()
			case 4:
				return errors.New("own")
			case 5:
				runtime.Goexit()
			case 6:
				_ = send(call.Envelope{Data: req.Input})
				<-time.After(time.Duration(n) * 100 * time.Microsecond)
			}
			return send(call.Envelope{Data: req.Input})
		}
		x, y := transport.Pipe(nil)
		caller := newSide(t, x, config{IDPrefix: "a-", Serve: serving(echo).Serve}, session.Options{})
		cfg := serving(h)
		cfg.Start, cfg.MaxInFlight, cfg.IDPrefix = true, 1000, "b-"
		callee = newSide(t, y, cfg, session.Options{})
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				for range 200 {
					n := rand.IntN(500)
					out, err := caller.Call(t.Context(), unary(fmt.Sprint("x.y", n%3), fmt.Sprint(n)))
					switch n % 50 {
					case 4, 5:
						if err == nil {
							t.Errorf("%d: no error", n)
						}
					default:
						if err != nil || data(t, out) != fmt.Sprint(n) {
							t.Errorf("%d: %s, %v", n, out, err)
						}
					}
				}
			})
		}
		callers.Wait()
	})
}

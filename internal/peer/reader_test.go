package peer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
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

// slowly returns a handler that answers the input 0 at once, with whether it runs on the reader, and calls f for any other.
func slowly(f func(ctx context.Context) error) call.Handler {
	return func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
		if string(req.Input) == "0" {
			return send(call.Envelope{Data: strconv.AppendBool(nil, IncomingFrom(ctx).reader != nil)})
		}
		return f(ctx)
	}
}

// wantOnReader calls x.y until its handler runs on the reader, after n calls for which it does not.
func wantOnReader(t *testing.T, caller *side, n int) {
	t.Helper()
	for i := range n + 1 {
		out, err := caller.Call(t.Context(), unary("x.y", "0"))
		if err != nil {
			t.Fatal(err)
		}
		if got := data(t, out); got != strconv.FormatBool(i == n) {
			t.Fatalf("in call %d of %d the handler is on the reader: %s", i, n, got)
		}
		synctest.Wait() // until the handler has returned
	}
}

// A handler that waits delays nothing else for longer than the watch takes to find it. Afterwards no handler runs on the
// reader for a hundred times as long, and those of its operation only when many in a row were quick.
func TestSlowHandlerIsTakenOverFrom(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		caller, _ := started(t, slowly(func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}))
		wantOnReader(t, caller, 0)
		for _, needs := range []int{quickRuns * moreRuns, quickRuns * moreRuns * moreRuns} {
			o := open(t, caller, unary("x.y", "1"), 0)
			begin := time.Now()
			if _, err := caller.Call(t.Context(), unary("x.echo", "2")); err != nil {
				t.Error(err)
			}
			took := time.Since(begin)
			if took == 0 || took > 2*watchPeriod {
				t.Errorf("another call took %v", took)
			}
			o.Abort("enough")
			synctest.Wait()
			<-time.After(pauses*took + time.Millisecond)
			wantOnReader(t, caller, needs)
		}
	})
}

// A handler that takes a while, but less than the watch needs, runs on a goroutine from then on; and so do those of all
// operations, for a hundred times as long, if it has taken long.
func TestSlowHandlerLeavesTheReader(t *testing.T) {
	for _, slow := range []struct {
		took  time.Duration
		needs int // quick calls before one is on the reader again
	}{{quickTime - 1, 0}, {quickTime, quickRuns}, {slowTime - 1, quickRuns}, {slowTime, quickRuns * moreRuns}, {watchPeriod - 1, quickRuns * moreRuns}} {
		bubble.Test(t, func(t *testing.T) {
			caller, callee := started(t, slowly(func(context.Context) error {
				<-time.After(slow.took)
				return nil
			}))
			if _, err := caller.Call(t.Context(), unary("x.y", "1")); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			if paused := time.Now().Before(callee.pausedUntil); paused != (slow.took >= slowTime) {
				t.Errorf("after %v: paused is %v", slow.took, paused)
			}
			wantPause := time.Duration(0)
			if slow.took >= slowTime {
				wantPause = pauses * slow.took
				for range quickRuns * moreRuns { // quick ones count, but none runs on the reader meanwhile
					if out, err := caller.Call(t.Context(), unary("x.y", "0")); err != nil || data(t, out) != "false" {
						t.Fatalf("%s, %v", out, err)
					}
				}
				<-time.After(wantPause)
				slow.needs = 0
			}
			wantOnReader(t, caller, slow.needs)
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

// A listener that ends the goroutine that reads ends the connection, and not the program's wait for that.
func TestListenerEndsTheReader(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, w := wired(t, config{Start: true, Event: func(string, []byte) { runtime.Goexit() }})
		w.send(`event {"topic":"x","payload":1}`)
		<-s.ran
		if err := s.sess.Cause(); !errors.Is(err, errExited) {
			t.Errorf("the session ended with %v", err)
		}
	})
}

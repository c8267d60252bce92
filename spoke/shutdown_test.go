package spoke_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// slow serves an operation that takes as long as its input says, in milliseconds.
func slow(r *call.Registry) {
	registered(call.Handle(r, call.Operation{Name: "test.slow"}, func(ctx context.Context, ms int) (string, error) {
		select {
		case <-time.After(time.Duration(ms) * time.Millisecond):
			return "done", nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}))
}

func TestShutdownLetsCallsInFlightEnd(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		a := net.Spoke("a", nil, slow)
		b := net.Spoke("b", nil, slow)
		served, made := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := call.Invoke[string](t.Context(), net.Hub, "test.slow", 3000, call.To("a"))
			served <- err
		}()
		go func() {
			_, err := call.Invoke[string](t.Context(), a, "test.slow", 5000, call.To("b"))
			made <- err
		}()
		later(time.Second)
		down := make(chan error, 1)
		start := time.Now()
		go func() { down <- a.Shutdown(t.Context()) }()
		synctest.Wait()
		if _, err := call.Invoke[string](t.Context(), net.Hub, "test.slow", 1, call.To("a")); !errors.Is(err, call.CodeUnavailable) {
			t.Errorf("a new call: %v", err)
		}
		if _, err := call.Invoke[string](t.Context(), b, "test.slow", 1); err != nil {
			t.Errorf("the other one: %v", err)
		}
		for _, c := range []chan error{served, made, down} {
			if err := <-c; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(start); took < 4*time.Second || took > 4100*time.Millisecond {
			t.Errorf("Shutdown took %v", took)
		}
		if err := a.Wait(); err != nil {
			t.Error(err)
		}
	})
}

func TestShutdownOutOfTime(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		a := net.Spoke("a", nil, slow)
		served := make(chan error, 1)
		go func() {
			_, err := call.Invoke[string](t.Context(), net.Hub, "test.slow", 20_000)
			served <- err
		}()
		later(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if err := a.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if err := a.Wait(); err != nil {
			t.Error(err)
		}
		if e, ok := errors.AsType[*call.Error](<-served); !ok || e.Code != call.CodeDisconnected || !e.Sent {
			t.Errorf("the call: %v", e)
		}
	})
}

func TestShutdownInsideAHandlerWaitsForItsContextOnly(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		a := net.Spoke("a", nil, nil)
		registered(call.Handle(a.Operations(), call.Operation{Name: "test.leave"}, func(ctx context.Context, _ any) (string, error) {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			return "", a.Shutdown(ctx)
		}))
		later(time.Second)
		start := time.Now()
		_, err := call.Invoke[string](t.Context(), net.Hub, "test.leave", nil)
		if err == nil || time.Since(start) > 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if err := a.Wait(); err != nil {
			t.Error(err)
		}
	})
}

// A handler that is slow to see that its context has ended does not keep the
// spoke from coming back.
func TestStuckHandlerDoesNotStopReconnect(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		free := make(chan struct{})
		a := net.Spoke("a", nil, func(r *call.Registry) {
			echo(r)
			registered(call.Handle(r, call.Operation{Name: "test.stuck"}, func(context.Context, any) (string, error) { <-free; return "", nil }))
		})
		go func() { _, _ = call.Invoke[string](t.Context(), net.Hub, "test.stuck", nil) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := a.Reconnect(ctx); err != nil {
			t.Error(err)
		}
		if _, err := call.Invoke[string](t.Context(), net.Hub, "test.echo", "x"); err != nil {
			t.Error(err)
		}
		close(free)
	})
}

// The first frame on each new connection of a session that drains is __drain, whether the hub knows it already or not;
// when the call in flight has ended, the spoke closes with 4008. If the hub ends the session instead, Run returns nil too.
func TestDrainIsAnnouncedOnEachConnection(t *testing.T) {
	const drain = `{"type":"__drain","payload":null}`
	for name, before := range map[string]bool{"before the loss": true, "after the loss": false} {
		for _, code := range []transport.CloseCode{0, transport.CloseReplaced} {
			t.Run(fmt.Sprint(name, ", closed with ", code), func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					h := make(rawHub)
					s, err := spoke.New("ws://raw.test/", &spoke.Options{ID: "a", Dialer: h})
					must(t, err)
					ran, left, answered := make(chan error, 1), make(chan error, 1), make(chan error, 1)
					go func() { ran <- s.Run(t.Context()) }()
					conn, _ := h.accept(t, `{"id":"one","received":0,"window":15000}`)
					go func() { _, err := call.Invoke[any](t.Context(), s, "test.any", nil); answered <- err }()
					request, err := conn.Read()
					must(t, err)
					_, id, _ := strings.Cut(string(request), `"requestId":"`)
					id, _, _ = strings.Cut(id, `"`)
					shutdown := func() { go func() { left <- s.Shutdown(t.Context()) }(); synctest.Wait() }
					want := func(conn transport.Conn) {
						t.Helper()
						if frame, err := conn.Read(); err != nil || string(frame) != drain {
							t.Errorf("%s, %v, want %s", frame, err, drain)
						}
					}
					if before {
						shutdown()
						want(conn)
					}
					conn.Abort()
					synctest.Wait()
					if !before {
						shutdown()
					}
					conn, _ = h.accept(t, `{"id":"one","received":1,"window":15000}`)
					want(conn)
					if code == 0 {
						must(t, conn.Write([][]byte{fmt.Appendf(nil, `{"type":"call.responded","payload":{"requestId":"%s","output":1}}`, id)}))
						must(t, <-answered)
					} else {
						conn.Close(code, "replaced")
						wantError(t, <-answered, call.CodeDisconnected, true)
					}
					for err == nil {
						var frame []byte
						if frame, err = conn.Read(); string(frame) == drain {
							t.Error("announced twice on one connection")
						}
					}
					if ce, ok := errors.AsType[*transport.CloseError](err); code == 0 && (!ok || ce.Code != transport.CloseLeft) {
						t.Errorf("closed with %v", err)
					}
					must(t, <-left)
					must(t, <-ran)
				})
			})
		}
	}
}

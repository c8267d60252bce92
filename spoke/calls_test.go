package spoke_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
)

func wantError(t *testing.T, err error, code call.Code, sent bool) {
	t.Helper()
	if e, ok := errors.AsType[*call.Error](err); !ok || e.Code != code || e.Sent != sent {
		t.Errorf("%v, want %s with sent %v", err, code, sent)
	}
}

func TestCallsWaitForAConnection(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		net.Spoke("b", nil, echo)
		a := net.Spoke("a", nil, nil)
		a.Wire.Refuse(errors.New("no route"))
		a.Wire.Cut()
		synctest.Wait()
		_, err := call.Invoke[string](t.Context(), a, "test.echo", "x", call.Timeout(3*time.Second))
		wantError(t, err, call.CodeTimeout, false)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err = call.Invoke[string](ctx, a, "test.echo", "x")
		wantError(t, err, call.CodeAborted, false)
		time.AfterFunc(10*time.Second, func() { a.Wire.Refuse(nil) })
		if out, err := call.Invoke[string](t.Context(), a, "test.echo", "x", call.Timeout(time.Minute)); err != nil || out != "x" {
			t.Error(out, err)
		}
	})
}

// A request that was cut off with its connection: whoever made it learns whether
// it can have run.
func TestDisconnectedSaysWhetherItCanHaveRun(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &hub.Options{SessionWindow: -1})
		b := net.Spoke("b", nil, slow)
		a := net.Spoke("a", nil, nil)
		made := make(chan error, 2)
		ask := func(c call.Caller) {
			_, err := call.Invoke[string](t.Context(), c, "test.slow", 10_000)
			made <- err
		}
		go ask(net.Hub)
		go ask(a)
		later(time.Second)
		b.Wire.Cut()
		for range 2 {
			wantError(t, <-made, call.CodeDisconnected, true)
		}
		synctest.Wait()
		if err := b.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		go ask(a)
		later(time.Second)
		a.Wire.Cut() // the caller's own connection
		wantError(t, <-made, call.CodeDisconnected, true)
		later(time.Second)
		if n := net.Hub.Stats().InFlight; n != 0 {
			t.Errorf("%d calls in flight: the handler was not told", n)
		}
	})
}

// The end of a connection is not the end of a call.
func TestLostConnectionIsNoAnswer(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &hub.Options{SessionWindow: -1})
		b := net.Spoke("b", nil, func(r *call.Registry) {
			registered(call.HandleStream(r, call.Operation{Name: "test.count"}, func(ctx context.Context, _ any, send func(int) error) error {
				for i := range 3 {
					if err := send(i); err != nil {
						return err
					}
				}
				<-ctx.Done()
				return ctx.Err()
			}))
		})
		a := net.Spoke("a", nil, nil)
		for _, c := range []call.Caller{net.Hub, a} {
			got := 0
			for _, err := range call.Stream[int](t.Context(), c, "test.count", nil) {
				if err != nil {
					wantError(t, err, call.CodeDisconnected, true)
					got = -got
					break
				}
				if got++; got == 3 {
					b.Wire.Cut()
				}
			}
			if got != -3 {
				t.Errorf("%T: a stream ended well after %d values", c, got)
			}
			synctest.Wait()
			if err := b.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestOperationsComeAndGo(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		a := net.Spoke("a", nil, nil)
		echo(a.Operations())
		synctest.Wait()
		if _, err := call.Invoke[string](t.Context(), net.Hub, "test.echo", "x"); err != nil {
			t.Error(err)
		}
		a.Operations().Remove("test.echo")
		synctest.Wait()
		_, err := call.Invoke[string](t.Context(), net.Hub, "test.echo", "x")
		wantError(t, err, call.CodeOperationNotFound, false)
		if n := a.Wire.Dials(); n != 1 {
			t.Errorf("%d dials", n)
		}
	})
}

// A hub that is too busy to take the changed operations is told again.
func TestOperationsAreToldAgain(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &hub.Options{MaxInFlight: 1})
		net.Spoke("b", nil, slow)
		a := net.Spoke("a", nil, nil)
		go func() { _, _ = call.Invoke[string](t.Context(), a, "test.slow", 20_000) }()
		synctest.Wait()
		echo(a.Operations())
		later(30 * time.Second)
		if _, err := call.Invoke[string](t.Context(), net.Hub, "test.echo", "x"); err != nil {
			t.Error(err)
		}
	})
}

func TestPanicAnswersAndTheConnectionLives(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		a := net.Spoke("a", nil, func(r *call.Registry) {
			echo(r)
			registered(call.Handle(r, call.Operation{Name: "test.panic"}, func(context.Context, any) (string, error) { panic("secret") }))
		})
		_, err := call.Invoke[string](t.Context(), net.Hub, "test.panic", nil)
		wantError(t, err, call.CodeExecution, true)
		if _, err := call.Invoke[string](t.Context(), net.Hub, "test.echo", "x"); err != nil {
			t.Error(err)
		}
		if a.Wire.Dials() != 1 || a.Stats().Panics != 1 {
			t.Errorf("%+v", a.Stats())
		}
	})
}

func TestIDIsKept(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		a := net.Spoke("", nil, nil)
		id := a.ID()
		a.Wire.Refuse(errors.New("no route"))
		a.Wire.Cut()
		synctest.Wait()
		if id == "" || a.ID() != id {
			t.Errorf("%q, was %q", a.ID(), id)
		}
	})
}

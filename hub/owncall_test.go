package hub_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
)

// ownOperations are handlers that do what a handler should not do.
func ownOperations(t *testing.T, r *call.Registry, causes chan<- error) {
	must(t, call.Handle(r, call.Operation{Name: "test.deaf"}, func(context.Context, any) (string, error) { later(3 * time.Second); return "late", nil }))
	must(t, call.Handle(r, call.Operation{Name: "test.exits"}, func(context.Context, any) (any, error) { runtime.Goexit(); return nil, nil }))
	must(t, call.Handle(r, call.Operation{Name: "test.panics"}, func(context.Context, any) (any, error) { panic("on purpose") }))
	must(t, call.Handle(r, call.Operation{Name: "test.waits"}, func(ctx context.Context, _ any) (any, error) {
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return nil, ctx.Err()
	}))
	must(t, r.Register(call.Operation{Name: "test.continues"}, func(ctx context.Context, _ *call.Request, send func(call.Envelope) error) error {
		if err := send(call.Envelope{Data: []byte("1")}); err != nil {
			return err
		}
		later(time.Second) // the answer does not end the context
		causes <- ctx.Err()
		return send(call.Envelope{Data: []byte("2")})
	}))
	must(t, call.HandleStream(r, call.Operation{Name: "test.silent"}, func(ctx context.Context, _ any, send func(int) error) error {
		if err := send(1); err != nil {
			return err
		}
		later(3 * time.Second)
		return send(2)
	}))
	must(t, call.HandleStream(r, call.Operation{Name: "test.endless"}, func(ctx context.Context, _ any, send func(int) error) error {
		for i := 0; ; i++ {
			if err := send(i); err != nil {
				causes <- err
				return err
			}
		}
	}))
}

// A call of the embedding program keeps the same contract whether the hub serves the operation or a spoke.
func TestCallOfTheHubsOwnOperation(t *testing.T) {
	for _, where := range []string{"hub", "spoke"} {
		t.Run(where, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				net := hubtest.New(t, nil)
				causes := make(chan error, 1)
				if where == "hub" {
					ownOperations(t, net.Hub.Operations(), causes)
				} else {
					net.Spoke("s", nil, func(r *call.Registry) { ownOperations(t, r, causes) })
				}
				h := net.Hub
				start := time.Now()
				invoke := func(ctx context.Context, name string, opts ...call.Option) error {
					start = time.Now()
					_, err := call.Invoke[any](ctx, h, name, nil, opts...)
					return err
				}
				want := func(err error, code call.Code, after time.Duration) {
					t.Helper()
					if e, _ := errors.AsType[*call.Error](err); e == nil || e.Code != code || !e.Sent || time.Since(start) != after {
						t.Errorf("%#v after %v, want %s after %v", err, time.Since(start), code, after)
					}
				}
				want(invoke(t.Context(), "test.deaf", call.Timeout(500*time.Millisecond)), call.CodeTimeout, 500*time.Millisecond)
				ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
				defer cancel()
				want(invoke(ctx, "test.deaf"), call.CodeTimeout, 500*time.Millisecond)
				ctx, cancel = context.WithCancel(t.Context())
				go func() { later(time.Second); cancel() }()
				want(invoke(ctx, "test.deaf"), call.CodeAborted, time.Second)
				want(invoke(t.Context(), "test.exits"), call.CodeExecution, 0)
				want(invoke(t.Context(), "test.panics"), call.CodeExecution, 0)
				if n := net.Hub.Stats().Panics; where == "hub" && n != 2 {
					t.Errorf("%d panics counted, want 2", n)
				}
				want(invoke(t.Context(), "test.waits", call.Timeout(time.Second)), call.CodeTimeout, time.Second)
				if err := <-causes; !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("cause: %v", err)
				}
				ctx, cancel = context.WithCancel(t.Context())
				go func() { later(time.Second); cancel() }()
				want(invoke(ctx, "test.waits"), call.CodeAborted, time.Second)
				if err := <-causes; !errors.Is(err, context.Canceled) || !errors.Is(err, call.CodeAborted) {
					t.Errorf("cause: %v", err)
				}
				ctx, cancel = context.WithCancel(t.Context())
				if err := invoke(ctx, "test.continues"); err != nil || time.Since(start) != 0 {
					t.Error(err, time.Since(start))
				}
				cancel()
				if err := <-causes; err != nil {
					t.Errorf("the context of a handler that has answered: %v", err)
				}
				start = time.Now()
				for v, err := range call.Stream[int](t.Context(), h, "test.silent", nil, call.IdleTimeout(time.Second)) {
					if err != nil {
						want(err, call.CodeTimeout, time.Second)
					} else if v != 1 {
						t.Error(v)
					}
				}
				for v, err := range call.Stream[int](t.Context(), h, "test.endless", nil) {
					if err != nil {
						t.Error(err)
					}
					if v == 100 {
						break
					}
				}
				if err := <-causes; !errors.Is(err, call.CodeAborted) && !errors.Is(err, context.Canceled) {
					t.Errorf("the producer whose reader has left: %v", err)
				}
				later(5 * time.Second)
			})
		})
	}
}

// A hub that shuts down waits for the handlers of the program's own calls, and refuses new calls.
func TestShutdownWaitsForOwnCalls(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		served := make(chan struct{}, 1)
		must(t, call.Handle(net.Hub.Operations(), call.Operation{Name: "test.nests"}, func(ctx context.Context, _ any) (string, error) {
			later(2 * time.Second)
			served <- struct{}{}
			return call.Invoke[string](ctx, net.Hub, "test.inner", nil)
		}))
		net.Spoke("s", nil, func(r *call.Registry) {
			must(t, call.Handle(r, call.Operation{Name: "test.inner"}, func(context.Context, any) (string, error) { later(time.Second); return "inner", nil }))
		})
		answer := make(chan error, 1)
		go func() {
			_, err := call.Invoke[string](t.Context(), net.Hub, "test.nests", nil)
			answer <- err
		}()
		later(time.Second)
		start := time.Now()
		if err := net.Hub.Shutdown(t.Context()); err != nil || time.Since(start) < 2*time.Second || time.Since(start) > 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if err := <-answer; err != nil {
			t.Error(err)
		}
		if _, err := call.Invoke[string](t.Context(), net.Hub, "test.nests", nil); !errors.Is(err, call.CodeUnavailable) {
			t.Error(err)
		}
	})
}

// A hub that is cut off ends the contexts of the program's own calls too.
func TestCloseEndsOwnCalls(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		causes := make(chan error, 1)
		ownOperations(t, net.Hub.Operations(), causes)
		answer := make(chan error, 1)
		go func() {
			_, err := call.Invoke[string](t.Context(), net.Hub, "test.waits", nil, call.Timeout(time.Hour))
			answer <- err
		}()
		later(time.Second)
		start := time.Now()
		net.Hub.Close()
		if err := <-answer; err == nil || time.Since(start) != 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		<-causes
	})
}

// A call of the embedding program whose context has ended is not made, and its error is how the context ended.
func TestCallWithAnEndedContext(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		ran := 0
		net.Spoke("worker", nil, func(r *call.Registry) {
			registered(call.Handle(r, call.Operation{Name: "a.count"}, func(context.Context, any) (int, error) { ran++; return ran, nil }))
		})
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		late, stop := context.WithTimeout(t.Context(), 0)
		defer stop()
		for _, operation := range []string{"a.count", "hub.info"} {
			for want, ctx := range map[call.Code]context.Context{call.CodeAborted: canceled, call.CodeTimeout: late} {
				_, err := net.Hub.Call(ctx, &call.Request{Operation: operation})
				var streamed error
				for _, err := range net.Hub.Stream(ctx, &call.Request{Operation: operation}) {
					streamed = err
				}
				for _, err := range []error{err, streamed} {
					if e, ok := errors.AsType[*call.Error](err); !ok || e.Code != want || e.Sent {
						t.Errorf("%s: %v, want %s", operation, err, want)
					}
				}
			}
		}
		if ran != 0 {
			t.Errorf("%d calls were made", ran)
		}
	})
}

// A stream that has yielded a value has run, also if its handler refuses then, for every server and every caller.
func TestRefusalAfterAnAnswer(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		serve := func(r *call.Registry, name string) {
			registered(call.HandleStream(r, call.Operation{Name: name}, func(_ context.Context, n int, send func(int) error) error {
				for i := range n {
					if err := send(i); err != nil {
						return err
					}
				}
				return call.Refuse(&call.Error{Code: call.CodeOverloaded})
			}))
		}
		serve(net.Hub.Operations(), "own.refuse")
		net.Spoke("w", nil, func(r *call.Registry) { serve(r, "far.refuse") })
		for from, c := range map[string]call.Caller{"hub": net.Hub, "spoke": net.Spoke("caller", nil, nil)} {
			for _, name := range []string{"own.refuse", "far.refuse"} {
				for n := range 3 {
					var last error
					for _, err := range call.Stream[int](t.Context(), c, name, n) {
						last = err
					}
					if e, _ := errors.AsType[*call.Error](last); e == nil || e.Code != call.CodeOverloaded || e.Sent != (n > 0) {
						t.Errorf("%s from the %s, after %d answers: %v, sent %v", name, from, n, last, e != nil && e.Sent)
					}
				}
			}
		}
	})
}

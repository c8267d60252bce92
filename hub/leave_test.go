package hub_test

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
)

// replacesErrors is an interceptor that hides what send returns from its caller.
func replacesErrors(next call.Handler) call.Handler {
	return func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
		if err := next(ctx, req, send); err != nil {
			return errors.New("an error of the interceptor's own")
		}
		return nil
	}
}

// sendsOn is an interceptor that calls send although it has failed, and after a panic of the reader.
func sendsOn(next call.Handler) call.Handler {
	return func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
		defer func() { _ = send(call.Envelope{}) }()
		return next(ctx, req, func(e call.Envelope) error {
			_ = send(e)
			return send(e)
		})
	}
}

// Leaving the loop over a stream cancels its handler and ends the call, however the loop is left, for every
// caller, every server and every interceptor.
func TestLeavingAStream(t *testing.T) {
	leave := map[string]func(iter.Seq2[int, error]){
		"break": func(s iter.Seq2[int, error]) {
			for range s {
				break
			}
		},
		"panic": func(s iter.Seq2[int, error]) {
			defer func() {
				if got := recover(); got != "of the body" {
					panic(got)
				}
			}()
			for range s {
				panic("of the body")
			}
		},
		"Goexit": func(s iter.Seq2[int, error]) {
			var left sync.WaitGroup
			left.Go(func() {
				for range s {
					runtime.Goexit()
				}
			})
			left.Wait()
		},
		"pull": func(s iter.Seq2[int, error]) {
			next, stop := iter.Pull2(s)
			next()
			stop()
		},
	}
	interceptors := map[string][]call.Interceptor{
		"": nil, ", an error is replaced": {replacesErrors}, ", send is called again": {sendsOn},
	}
	for how, leave := range leave {
		for what, interceptors := range interceptors {
			t.Run(how+what, func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					net := hubtest.New(t, &hub.Options{AllowAnonymous: true, Interceptors: interceptors})
					var ended sync.Map
					serve := func(r *call.Registry, name string) {
						registered(call.HandleStream(r, call.Operation{Name: name}, func(ctx context.Context, _ any, send func(int) error) error {
							for i := 0; ; i++ {
								if err := send(i); err != nil {
									ended.Store(name, context.Cause(ctx))
									return err
								}
							}
						}))
					}
					serve(net.Hub.Operations(), "own.count")
					served := net.Spoke("server", nil, func(r *call.Registry) { serve(r, "far.count") })
					caller := net.Spoke("caller", &spoke.Options{Interceptors: interceptors}, nil)
					for from, c := range map[string]call.Caller{"hub": net.Hub, "spoke": caller} {
						for _, name := range []string{"own.count", "far.count"} {
							leave(call.Stream[int](t.Context(), c, name, nil, call.Credit(2)))
							later(time.Second)
							if cause, ok := ended.LoadAndDelete(name); !ok || !errors.Is(cause.(error), context.Canceled) {
								t.Errorf("%s from the %s: the handler ended with %v", name, from, cause)
							}
						}
					}
					synctest.Wait()
					if n := served.Stats().Serving + caller.Stats().InFlight + net.Hub.Stats().InFlight; n != 0 {
						t.Errorf("%d calls have not ended", n)
					}
				})
			})
		}
	}
}

// A stream is ranged over once: ranging over it again makes no second call, for every caller and every server.
func TestStreamIsRangedOverOnce(t *testing.T) {
	for what, interceptors := range map[string][]call.Interceptor{"": nil, "intercepted": {call.Retry(nil)}} {
		t.Run(what, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				net := hubtest.New(t, &hub.Options{AllowAnonymous: true, Interceptors: interceptors})
				var runs atomic.Int32
				serve := func(r *call.Registry, name string) {
					registered(call.HandleStream(r, call.Operation{Name: name}, func(_ context.Context, _ any, send func(int) error) error {
						runs.Add(1)
						return errors.Join(send(1), send(2))
					}))
				}
				serve(net.Hub.Operations(), "own.count")
				net.Spoke("server", nil, func(r *call.Registry) { serve(r, "far.count") })
				caller := net.Spoke("caller", &spoke.Options{Interceptors: interceptors}, nil)
				values := func(s iter.Seq2[int, error]) (n int, last error) {
					for _, err := range s {
						if last = err; err == nil {
							n++
						}
					}
					return n, last
				}
				for from, c := range map[string]call.Caller{"hub": net.Hub, "spoke": caller, "own": call.Intercept(net.Hub, call.Retry(nil))} {
					for _, name := range []string{"own.count", "far.count"} {
						all := map[string]iter.Seq2[int, error]{"stream": call.Stream[int](t.Context(), c, name, nil)}
						if name == "far.count" {
							g := call.Gather[int](t.Context(), c, name, nil)
							all["gather"] = func(yield func(int, error) bool) {
								for r, err := range g {
									if !yield(r.Output, err) {
										return
									}
								}
							}
						}
						for form, s := range all {
							runs.Store(0)
							if n, err := values(s); n == 0 || err != nil || runs.Load() != 1 {
								t.Errorf("%s of %s from the %s: %d values, %v, %d runs", form, name, from, n, err, runs.Load())
							}
							if n, err := values(s); n != 0 || !errors.Is(err, call.CodeValidation) || runs.Load() != 1 {
								t.Errorf("%s of %s from the %s, again: %d values, %v, %d runs", form, name, from, n, err, runs.Load())
							}
						}
					}
				}
			})
		})
	}
}

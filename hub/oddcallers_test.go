package hub_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
)

// oddEnv is a hub that serves an operation itself, a worker, and who can call them.
func oddEnv(t *testing.T, serve func(*call.Registry)) (own, far map[string]call.Caller, net *hubtest.Network) {
	net = hubtest.New(t, nil)
	net.Spoke("worker", nil, serve)
	caller := net.Spoke("caller", nil, nil)
	alone := hubtest.New(t, nil)
	serve(alone.Hub.Operations())
	local := alone.Spoke("local", nil, nil)
	synctest.Wait()
	return map[string]call.Caller{"hub, own": alone.Hub, "spoke, own": local},
		map[string]call.Caller{"hub": net.Hub, "spoke": caller}, net
}

// A reader that panics, or ends its goroutine, in the loop over a stream leaves the stream like one that breaks out of the loop: its
// handler's context ends, and nothing stays in flight.
func TestReaderThatPanics(t *testing.T) {
	for name, leave := range map[string]func(){
		"panic":  func() { panic("on purpose") },
		"goexit": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				ended := make(chan error, 1)
				own, far, net := oddEnv(t, func(r *call.Registry) {
					must(t, call.HandleStream(r, call.Operation{Name: "test.endless"}, func(ctx context.Context, _ any, send func(int) error) error {
						for i := 0; ; i++ {
							if err := send(i); err != nil {
								ended <- context.Cause(ctx)
								return err
							}
						}
					}))
				})
				for _, callers := range []map[string]call.Caller{own, far} {
					for who, c := range callers {
						done := make(chan struct{})
						go func() {
							defer close(done)
							defer func() { _ = recover() }()
							for n := range call.Stream[int](t.Context(), c, "test.endless", nil) {
								if n == 5 {
									leave()
								}
							}
						}()
						<-done
						select {
						case err := <-ended:
							if !errors.Is(err, call.CodeAborted) && !errors.Is(err, context.Canceled) {
								t.Errorf("%s: %v", who, err)
							}
						case <-time.After(time.Minute):
							t.Errorf("%s: the handler is still running", who)
						}
					}
				}
				later(time.Minute)
				if s := net.Hub.Stats(); s.InFlight != 0 || s.Serving != 0 {
					t.Errorf("left: %+v", s)
				}
			})
		})
	}
}

// What cannot be a request is refused with VALIDATION_ERROR, without a panic, and costs nothing else.
func TestRequestsThatAreNone(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		own, far, net := oddEnv(t, serveWho("worker"))
		for _, callers := range []map[string]call.Caller{own, far} {
			for who, c := range callers {
				for name, req := range map[string]*call.Request{
					"nil":           nil,
					"empty":         {},
					"no namespace":  call.NewRequest("who", nil),
					"long to":       call.NewRequest("test.who", nil, call.To(strings.Repeat("x", 1<<20))),
					"to in Latin-1": call.NewRequest("test.who", nil, call.To("\xe9")),
					"input":         call.NewRequest("test.who", []byte("{")),
					"metadata":      call.NewRequest("test.who", nil, call.Metadata([]byte("1"))),
				} {
					_, err := c.Call(t.Context(), req)
					if e, _ := errors.AsType[*call.Error](err); e == nil || e.Code != call.CodeValidation || e.Sent || len(e.Message) > 300 {
						t.Errorf("%s, %s: %.300v", who, name, err)
					}
					n := 0
					for _, err := range c.Stream(t.Context(), req) {
						if n++; !errors.Is(err, call.CodeValidation) {
							t.Errorf("%s, %s, as a stream: %.300v", who, name, err)
						}
					}
					if n != 1 {
						t.Errorf("%s, %s: %d errors", who, name, n)
					}
				}
				if out, err := call.Invoke[string](t.Context(), c, "test.who", nil, nil); err != nil || out != "worker" {
					t.Errorf("%s, a nil option: %q, %v", who, out, err)
				}
			}
		}
		if s := net.Hub.Stats(); s.Spokes != 2 || s.Malformed != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// A nil *call.Error in the error that a handler returns means success.
func TestTypedNilError(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		own, far, net := oddEnv(t, func(r *call.Registry) {
			must(t, r.Register(call.Operation{Name: "test.nil"}, func(context.Context, *call.Request, func(call.Envelope) error) error {
				var e *call.Error
				return e
			}))
		})
		for _, callers := range []map[string]call.Caller{own, far} {
			for who, c := range callers {
				if out, err := call.Invoke[any](t.Context(), c, "test.nil", nil); out != nil || err != nil {
					t.Errorf("%s: %v, %v", who, out, err)
				}
			}
		}
		if s := net.Hub.Stats(); s.Panics != 0 {
			t.Errorf("%d panics", s.Panics)
		}
	})
}

// A request that an interceptor has spoiled fails alone; the connections of others do not end.
func TestInterceptorThatSpoilsRequests(t *testing.T) {
	for name, spoil := range map[string]func(*call.Request){
		"operation": func(r *call.Request) { r.Operation = "test.\xff" },
		"input":     func(r *call.Request) { r.Input = []byte("{") },
		"latin-1":   func(r *call.Request) { r.Input = []byte("\"\xe9\"") },
		"metadata":  func(r *call.Request) { r.Metadata = []byte("{") },
		"to":        func(r *call.Request) { r.To = "\xff" },
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				spoils := []call.Interceptor{func(next call.Handler) call.Handler {
					return func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
						r := *req
						spoil(&r)
						return next(ctx, &r, send)
					}
				}}
				net := hubtest.New(t, &hub.Options{AllowAnonymous: true, Interceptors: spoils})
				worker := net.Spoke("worker", nil, serveWho("worker"))
				caller := net.Spoke("caller", &spoke.Options{Interceptors: spoils}, nil)
				for _, c := range []call.Caller{net.Hub, caller} {
					if _, err := call.Invoke[any](t.Context(), c, "test.who", nil); !errors.Is(err, call.CodeValidation) {
						t.Error(err)
					}
					for _, err := range call.Stream[any](t.Context(), c, "test.count", 1) {
						if !errors.Is(err, call.CodeValidation) {
							t.Error(err)
						}
					}
				}
				later(time.Minute)
				if n, m := worker.Stats().Connections, caller.Stats().Connections; n != 1 || m != 1 || net.Hub.Stats().Spokes != 2 {
					t.Errorf("connected %d and %d times", n, m)
				}
			})
		})
	}
}

// An option that cannot apply fails the call; ignored, it would make another call than its caller means.
func TestOptionsThatDoNotApply(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		net.Spoke("w", nil, serveWho("w"))
		caller := net.Spoke("caller", nil, nil)
		as := call.As(&call.Identity{ID: "alice"})
		for name, c := range map[string]struct {
			caller call.Caller
			option call.Option
			want   string // in the error; empty: it applies
			stream bool
		}{
			"credit":              {net.Hub, call.Credit(1), "call.Credit", false},
			"idle timeout":        {net.Hub, call.IdleTimeout(time.Second), "call.IdleTimeout", false},
			"credit, spoke":       {caller, call.Credit(1), "call.Credit", false},
			"idle timeout, spoke": {caller, call.IdleTimeout(time.Second), "call.IdleTimeout", false},
			"as":                  {net.Hub, as, "", false},
			"as, spoke":           {caller, as, "call.As", false},
			"as, gather of spoke": {caller, as, "call.As", true},
			"credit of a gather":  {caller, call.Credit(1), "", true},
		} {
			var got string
			var err error
			if c.stream {
				for r, failed := range call.Gather[string](t.Context(), c.caller, "test.who", nil, c.option) {
					got, err = r.Output, failed
				}
			} else {
				got, err = call.Invoke[string](t.Context(), c.caller, "test.who", nil, c.option)
			}
			if c.want == "" && (got != "w" || err != nil) || c.want != "" && (!errors.Is(err, call.CodeValidation) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
	})
}

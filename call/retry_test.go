package call_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/internal/bubble"
)

var (
	unsent = &call.Error{Code: call.CodeUnavailable, Retryable: true, Message: "unsent"}
	sent   = &call.Error{Code: call.CodeDisconnected, Retryable: true, Sent: true, Message: "sent"}
	final  = &call.Error{Code: call.CodeAccessDenied}
)

// attempts is a Caller whose attempts fail with these errors in turn; nil and all further ones succeed. A stream
// yields the values before it fails.
type attempts struct {
	errs   []error
	values []string // of each stream
	made   []call.Request
	at     []time.Time
	every  error // fails every attempt
}

func (a *attempts) attempt(req *call.Request) error {
	n := len(a.made)
	a.made, a.at = append(a.made, *req), append(a.at, time.Now())
	if a.every != nil {
		return a.every
	}
	if n < len(a.errs) {
		return a.errs[n]
	}
	return nil
}

func (a *attempts) Call(_ context.Context, req *call.Request) (call.Envelope, error) {
	if err := a.attempt(req); err != nil {
		return call.Envelope{}, err
	}
	return envelope(`"ok"`), nil
}

func (a *attempts) Stream(_ context.Context, req *call.Request) iter.Seq2[call.Envelope, error] {
	return func(yield func(call.Envelope, error) bool) {
		err := a.attempt(req)
		for _, v := range a.values {
			if !yield(envelope(v), nil) {
				return
			}
		}
		if err != nil {
			yield(call.Envelope{}, err)
		}
	}
}

// both makes the call as a unary one and as a stream without a value, and returns its error.
func both(t *testing.T, run func(t *testing.T, ask func(ctx context.Context, c call.Caller, opts ...call.Option) error)) {
	t.Helper()
	t.Run("call", func(t *testing.T) {
		bubble.Test(t, func(t *testing.T) {
			run(t, func(ctx context.Context, c call.Caller, opts ...call.Option) error {
				out, err := call.Invoke[string](ctx, c, "a.b", nil, opts...)
				if (out == "ok") != (err == nil) {
					t.Errorf("%q with the error %v", out, err)
				}
				return err
			})
		})
	})
	t.Run("stream", func(t *testing.T) {
		bubble.Test(t, func(t *testing.T) {
			run(t, func(ctx context.Context, c call.Caller, opts ...call.Option) (last error) {
				for _, err := range call.Stream[string](ctx, c, "a.b", nil, opts...) {
					last = err
				}
				return last
			})
		})
	})
}

func TestRetry(t *testing.T) {
	for name, c := range map[string]struct {
		errs     []error
		retry    *call.RetryOptions
		opts     []call.Option
		made     int
		want     error // nil: it succeeds
		wantSent bool
	}{
		"three attempts by default":        {[]error{unsent, unsent, unsent}, nil, nil, 3, call.CodeUnavailable, false},
		"until it succeeds":                {[]error{unsent, unsent}, &call.RetryOptions{Attempts: 5}, nil, 3, nil, false},
		"no more than attempts":            {[]error{unsent, unsent, unsent}, &call.RetryOptions{Attempts: 2}, nil, 2, call.CodeUnavailable, false},
		"once":                             {[]error{unsent}, &call.RetryOptions{Attempts: 1}, nil, 1, call.CodeUnavailable, false},
		"not what can have run":            {[]error{sent}, nil, nil, 1, call.CodeDisconnected, true},
		"what can have run, if idempotent": {[]error{sent}, nil, []call.Option{call.Idempotent()}, 2, nil, false},
		"not what cannot help":             {[]error{final}, nil, []call.Option{call.Idempotent()}, 1, call.CodeAccessDenied, false},
		"not an error of another type":     {[]error{errors.New("x")}, nil, []call.Option{call.Idempotent()}, 1, nil, false},
		"no longer than the call has time": {[]error{unsent, unsent, unsent}, &call.RetryOptions{Attempts: 9, Backoff: time.Second},
			[]call.Option{call.Timeout(1400 * time.Millisecond)}, 2, call.CodeUnavailable, false},
		"an attempt of an idempotent call can have run": {[]error{sent, unsent, unsent}, nil, []call.Option{call.Idempotent()}, 3, call.CodeUnavailable, true},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, ask func(context.Context, call.Caller, ...call.Option) error) {
				a := &attempts{errs: c.errs}
				err := ask(t.Context(), call.Intercept(a, call.Retry(c.retry)), c.opts...)
				if len(a.made) != c.made {
					t.Errorf("%d attempts, want %d", len(a.made), c.made)
				}
				e, _ := errors.AsType[*call.Error](err)
				if c.want != nil && (!errors.Is(err, c.want) || e.Sent != c.wantSent) || c.want == nil && e != nil {
					t.Errorf("%+v", err)
				}
				if unsent.Sent { // an error belongs to its maker
					t.Error("the error of an attempt was changed")
				}
			})
		})
	}
}

// The text of a wrapper around the last error stays, also where Sent is corrected.
func TestRetryKeepsTheWrapper(t *testing.T) {
	both(t, func(t *testing.T, ask func(context.Context, call.Caller, ...call.Option) error) {
		errOwn := errors.New("own")
		a := &attempts{errs: []error{sent, fmt.Errorf("at the edge: %w, %w", unsent, errOwn)}}
		err := ask(t.Context(), call.Intercept(a, call.Retry(&call.RetryOptions{Attempts: 2})), call.Idempotent())
		e, _ := errors.AsType[*call.Error](err)
		if e == nil || !e.Sent || !strings.Contains(err.Error(), "at the edge: unsent") || !errors.Is(err, errOwn) {
			t.Errorf("%+v", err)
		}
	})
}

// The pauses double, each between half and all of its bound, up to 30 s.
func TestRetryPauses(t *testing.T) {
	both(t, func(t *testing.T, ask func(context.Context, call.Caller, ...call.Option) error) {
		for backoff, bound := range map[time.Duration]time.Duration{0: 100 * time.Millisecond, time.Second: time.Second, 2: 2, 4: 4, 6: 6, 8: 8, 10: 10} {
			a := &attempts{every: unsent}
			_ = ask(t.Context(), call.Intercept(a, call.Retry(&call.RetryOptions{Attempts: 12, Backoff: backoff})), call.Timeout(-1))
			if len(a.at) != 12 {
				t.Fatalf("%d attempts", len(a.at))
			}
			uneven := false
			for i := 1; i < 12; i++ {
				pause := a.at[i].Sub(a.at[i-1])
				if pause < bound/2 || pause > bound {
					t.Errorf("pause %d with backoff %v is %v, want %v to %v", i, backoff, pause, bound/2, bound)
				}
				uneven = uneven || pause != bound && pause != bound/2
				bound = min(2*bound, 30*time.Second)
			}
			if !uneven {
				t.Error("the pauses have no jitter")
			}
		}
	})
}

// All attempts share the call's timeout; the first has what the caller set.
func TestRetryTimeout(t *testing.T) {
	both(t, func(t *testing.T, ask func(context.Context, call.Caller, ...call.Option) error) {
		for _, timeout := range []time.Duration{0, time.Minute, -1} {
			start := time.Now()
			a := &attempts{every: unsent}
			_ = ask(t.Context(), call.Intercept(a, call.Retry(&call.RetryOptions{Attempts: 3, Backoff: time.Second})), call.Timeout(timeout))
			whole := timeout
			if whole == 0 && !a.made[0].Stream {
				whole = call.DefaultTimeout
			}
			for i, r := range a.made {
				want := timeout
				if i > 0 && whole > 0 {
					want = start.Add(whole).Sub(a.at[i])
				}
				if r.Timeout != want {
					t.Errorf("attempt %d of %d with the timeout %v has %v, want %v", i+1, len(a.made), timeout, r.Timeout, want)
				}
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 1400*time.Millisecond)
		defer cancel()
		a := &attempts{every: unsent}
		err := ask(ctx, call.Intercept(a, call.Retry(&call.RetryOptions{Attempts: 9, Backoff: time.Second})))
		if len(a.made) != 2 || !errors.Is(err, call.CodeUnavailable) || ctx.Err() != nil {
			t.Errorf("%d attempts before the context's deadline: %v", len(a.made), err)
		}
	})
}

// A context that ends during a pause ends the call immediately.
func TestRetryCanceled(t *testing.T) {
	both(t, func(t *testing.T, ask func(context.Context, call.Caller, ...call.Option) error) {
		for cause, want := range map[error]struct {
			code call.Code
			is   error
		}{
			errors.New("enough"): {call.CodeAborted, context.Canceled},
			&call.Error{Code: call.CodeUnavailable, Message: "drains", Retryable: true}: {call.CodeUnavailable, call.CodeUnavailable},
			context.DeadlineExceeded: {call.CodeAborted, context.DeadlineExceeded},
		} {
			for _, first := range []*call.Error{unsent, sent} {
				ctx, cancel := context.WithCancelCause(t.Context())
				start := time.Now()
				time.AfterFunc(time.Second, func() { cancel(cause) })
				a := &attempts{every: first}
				err := ask(ctx, call.Intercept(a, call.Retry(&call.RetryOptions{Backoff: 4 * time.Second})), call.Idempotent())
				e, _ := errors.AsType[*call.Error](err)
				if e == nil || e.Code != want.code || !errors.Is(err, want.is) || !errors.Is(err, cause) || e.Sent != first.Sent || !strings.Contains(e.Message, first.Message) ||
					e.Retryable != (want.code == call.CodeUnavailable) {
					t.Errorf("cause %v: %+v", cause, err)
				}
				if took := time.Since(start); took != time.Second || len(a.made) != 1 {
					t.Errorf("%d attempts in %v", len(a.made), took)
				}
			}
		}
	})
}

// hidesDeadline is a context that ends at a time that it does not report.
type hidesDeadline struct{ context.Context }

func (hidesDeadline) Deadline() (time.Time, bool) { return time.Time{}, false }

func TestRetryHiddenDeadline(t *testing.T) {
	both(t, func(t *testing.T, ask func(context.Context, call.Caller, ...call.Option) error) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		a := &attempts{every: unsent}
		err := ask(hidesDeadline{ctx}, call.Intercept(a, call.Retry(&call.RetryOptions{Backoff: 4 * time.Second})))
		if !errors.Is(err, call.CodeTimeout) || !errors.Is(err, context.DeadlineExceeded) || len(a.made) != 1 {
			t.Errorf("%d attempts: %v", len(a.made), err)
		}
	})
}

// A stream is repeated only before its first answer.
func TestRetryStreamThatHasBegun(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a := &attempts{errs: []error{unsent}, values: []string{"1"}}
		n := 0
		var last error
		for _, err := range call.Stream[int](t.Context(), call.Intercept(a, call.Retry(nil)), "a.b", nil, call.Idempotent()) {
			n, last = n+1, err
		}
		if n != 2 || !errors.Is(last, call.CodeUnavailable) || len(a.made) != 1 {
			t.Errorf("%d elements of %d attempts: %v", n, len(a.made), last)
		}
		// One that is left is not made again either.
		a = &attempts{values: []string{"1"}}
		for range call.Stream[int](t.Context(), call.Intercept(a, call.Retry(nil)), "a.b", nil, call.Idempotent()) {
			break
		}
		if len(a.made) != 1 {
			t.Errorf("%d attempts of a stream that was left", len(a.made))
		}
	})
}

// The budget belongs to the interceptor: a reserve, and one repeat for every ten calls.
func TestRetryBudget(t *testing.T) {
	both(t, func(t *testing.T, ask func(context.Context, call.Caller, ...call.Option) error) {
		for budget, want := range map[int]int{0: 100 + 40, 7: 7 + 40, -1: 400} {
			a := &attempts{every: unsent}
			retry := call.Retry(&call.RetryOptions{Attempts: 2, Budget: budget})
			for range 200 { // two Callers share it
				_ = ask(t.Context(), call.Intercept(a, retry))
				_ = ask(t.Context(), call.Intercept(a, retry))
			}
			// The reserve is full at the first call, which adds nothing then.
			if repeats := len(a.made) - 400; repeats > want || repeats < want-1 {
				t.Errorf("budget %d: %d repeats of 400 calls, want %d", budget, repeats, want)
			}
			// Calls that succeed fill it again, up to the reserve.
			a.every = nil
			for range 1100 {
				_ = ask(t.Context(), call.Intercept(a, retry))
			}
			a.made, a.every = nil, unsent
			for range 150 {
				_ = ask(t.Context(), call.Intercept(a, retry))
			}
			full := map[int]int{0: 100 + 15, 7: 7 + 15, -1: 150}[budget]
			if repeats := len(a.made) - 150; repeats > full || repeats < full-1 {
				t.Errorf("budget %d: %d repeats of 150 calls when it is full, want %d", budget, repeats, full)
			}
		}
	})
}

// Around handlers, Retry repeats nothing: what a handler returns has run. The side is that of the interceptor, not that
// of the request: a handler that passes its request on makes a call.
func TestRetryAroundHandlers(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h, err := hub.New(&hub.Options{AllowAnonymous: true, Interceptors: []call.Interceptor{call.Retry(nil)}})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		inner := &attempts{errs: []error{unsent, unsent}}
		r := h.Operations()
		r.Use(call.Retry(nil))
		runs := 0
		fail := func(context.Context, json.RawMessage) (json.RawMessage, error) {
			runs++
			return nil, &call.Error{Code: "OWN", Retryable: true}
		}
		must(t, call.Handle(r, call.Operation{Name: "a.own"}, fail, call.Retry(nil)))
		must(t, r.Register(call.Operation{Name: "a.pass"}, func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
			e, err := call.Intercept(inner, call.Retry(nil)).Call(ctx, req)
			if err != nil {
				return err
			}
			return send(e)
		}))
		if _, err := call.Invoke[int](t.Context(), h, "a.own", nil); !errors.Is(err, call.Code("OWN")) || runs != 1 {
			t.Errorf("%v after %d runs of the handler", err, runs)
		}
		if out, err := call.Invoke[string](t.Context(), h, "a.pass", nil); err != nil || out != "ok" || len(inner.made) != 3 {
			t.Errorf("%q, %v after %d attempts of the call that the handler made", out, err, len(inner.made))
		}
	})
}

// An interceptor reads its side in the request.
func TestOutgoing(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var sides []string
		note := func(next call.Handler) call.Handler {
			return func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
				sides = append(sides, fmt.Sprint(req.Stream, req.Outgoing))
				return next(ctx, req, send)
			}
		}
		h, err := hub.New(&hub.Options{AllowAnonymous: true, Interceptors: []call.Interceptor{note}})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		h.Operations().Use(note)
		must(t, h.Operations().Register(call.Operation{Name: "a.b"}, nothing))
		req := call.NewRequest("a.b", nil)
		_, _ = h.Call(t.Context(), req)
		for range h.Stream(t.Context(), req) {
		}
		if got := strings.Join(sides, ", "); got != "false true, false false, true true, true false" || req.Outgoing {
			t.Errorf("stream and side: %s; the caller's request: %v", got, req.Outgoing)
		}
	})
}

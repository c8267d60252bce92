package call_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
)

// A refusal vouches for the call whose handler returns it. An error that a handler received from another call, or that
// only has a refusal among its causes, does not: the handler has run.
func TestRefusalIsForOneCall(t *testing.T) {
	errLimited := errors.New("limited")
	refused := call.Refuse(call.Errorf(call.CodeOverloaded, "full"))
	full := func(err error) call.Interceptor {
		return func(call.Handler) call.Handler {
			return func(context.Context, *call.Request, func(call.Envelope) error) error { return err }
		}
	}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"refused":                {refused, "OVERLOADED: full"},
		"wrapped":                {fmt.Errorf("limiter: %w, %w", refused, errLimited), "OVERLOADED: limiter: full, limited"},
		"not an error of a call": {errLimited, "EXECUTION_ERROR: limited"},
	} {
		intercepted := call.Intercept(&fakeCaller{answers: []string{"1"}}, full(c.err))
		last := func(unary error, stream func(func(call.Envelope, error) bool)) []error {
			got := []error{unary}
			for _, err := range stream {
				got = append(got, err)
			}
			return got
		}
		_, unary := intercepted.Call(t.Context(), call.NewRequest("a.b", nil))
		errs := last(unary, intercepted.Stream(t.Context(), call.NewRequest("a.b", nil)))
		own := &fakeCaller{err: c.err} // a Caller of the program's that passes a refusal on
		_, unary = call.Invoke[int](t.Context(), own, "a.b", nil)
		errs = append(errs, last(unary, call.Stream[call.Envelope](t.Context(), own, "a.b", nil))...)
		for _, err := range call.Gather[int](t.Context(), own, "a.b", nil) {
			errs = append(errs, err)
		}
		for i, err := range errs {
			if errors.Is(c.err, errLimited) != errors.Is(err, errLimited) {
				t.Errorf("%s, form %d: the cause is lost: %v", name, i, err)
			}
			if e, ok := errors.AsType[*call.Error](err); ok && e.Sent {
				t.Errorf("%s, form %d: the caller reads that the handler can have run", name, i)
			}
			if e := peer.HandlerError(t.Context(), err); !e.Sent || e.Error() != c.want {
				t.Errorf("%s, form %d: a handler that returns it has not run: %+v", name, i, e)
			}
		}
	}
	for name, err := range map[string]error{
		"cause":          &call.Error{Code: "OWN", Message: "m", Cause: refused},
		"cause, wrapped": fmt.Errorf("a: %w", &call.Error{Code: "OWN", Message: "m", Cause: refused}),
		"by Errorf":      call.Errorf("OWN", "m: %w", refused),
		"joined":         errors.Join(&call.Error{Code: "OWN", Message: "m"}, refused),
	} {
		if e := peer.HandlerError(t.Context(), err); e.Code != "OWN" || !e.Sent {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func TestRefuse(t *testing.T) {
	own := call.Errorf("BUSY", "m") // a code of its own: Errorf sets Sent
	err := call.Refuse(own)
	if e, ok := errors.AsType[*call.Error](err); !ok || e.Sent || !own.Sent || err.Error() != own.Error() {
		t.Errorf("%+v, the error itself %+v", err, own)
	}
	if call.Refuse(nil) != nil {
		t.Error("a refusal without an error")
	}
	if e := peer.HandlerError(t.Context(), call.Refuse(&call.Error{Code: "not a code"})); e.Code != call.CodeExecution || e.Sent {
		t.Errorf("%+v", e)
	}
}

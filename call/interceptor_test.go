package call_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/alkdev/hubspoke/call"
)

func TestIntercept(t *testing.T) {
	ctx := t.Context()
	f := &fakeCaller{answers: []string{"1", "2"}}
	if call.Intercept(f) != call.Caller(f) {
		t.Error("a Caller without interceptors is not itself")
	}
	var log []string
	c := call.Intercept(f, trace(&log, "first"), nil, trace(&log, "second"))
	if out, err := call.Invoke[int](ctx, c, "a.b", nil); out != 1 || err != nil {
		t.Errorf("%d, %v", out, err)
	}
	s := call.Stream[int](ctx, c, "a.b", nil)
	if got := strings.Join(log, " "); got != "first second /second /first" {
		t.Error(got)
	}
	log = nil
	var got []int
	for n, err := range s {
		if got = append(got, n); err != nil {
			t.Error(err)
		}
	}
	if len(got) != 2 || strings.Join(log, " ") != "first second /second /first" {
		t.Errorf("%v, %v", got, log)
	}
}

// An interceptor changes a copy of the caller's request, and its own errors reach the caller unchanged.
func TestInterceptorChanges(t *testing.T) {
	ctx := t.Context()
	errOwn := errors.New("own")
	f := &fakeCaller{answers: []string{"1"}}
	c := call.Intercept(f, func(next call.Handler) call.Handler {
		return func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
			req.To = "elsewhere"
			if err := next(ctx, req, func(e call.Envelope) error { return send(envelope("5" + string(e.Data))) }); err != nil {
				return err
			}
			if string(req.Input) == `"fail"` {
				return errOwn
			}
			return nil
		}
	})
	for _, stream := range []bool{false, true} {
		req := call.NewRequest("a.b", nil)
		req.Stream = !stream // the method decides
		if !stream {
			e, err := c.Call(ctx, req)
			if string(e.Data) != "51" || err != nil {
				t.Errorf("%s, %v", e.Data, err)
			}
		} else {
			for e, err := range c.Stream(ctx, req) {
				if string(e.Data) != "51" || err != nil {
					t.Errorf("%s, %v", e.Data, err)
				}
			}
		}
		if req.To != "" || f.req.To != "elsewhere" || f.req.Stream != stream {
			t.Errorf("the caller's request is %+v, the one that was made %+v", req, f.req)
		}
	}
	if out, err := call.Invoke[int](ctx, c, "a.b", "fail"); err != errOwn || out != 0 { //nolint:errorlint // unchanged
		t.Errorf("%d, %v", out, err)
	}
	var last error
	for _, err := range call.Stream[int](ctx, c, "a.b", "fail") {
		last = err
	}
	if last != errOwn { //nolint:errorlint // unchanged
		t.Error(last)
	}
}

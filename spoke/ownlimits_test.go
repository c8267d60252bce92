package spoke_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
)

// A spoke does not register by a call.
func TestRegistrationIsNoCall(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := hubtest.New(t, nil).Spoke("a", nil, nil)
		_, err := s.Call(t.Context(), &call.Request{Operation: "hub.register"})
		wantError(t, err, call.CodeValidation, false)
		if err == nil || !strings.Contains(err.Error(), "Operations") {
			t.Errorf("%v does not name what to change", err)
		}
		if s.State() != spoke.Registered {
			t.Errorf("the spoke is %v", s.State())
		}
	})
}

// A call that waits for another spoke ends with its context, between two questions to the hub too.
func TestWaitForSpokeIsCancelled(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := hubtest.New(t, nil).Spoke("a", nil, nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := call.Invoke[int](ctx, s, "test.nobody", 1, call.To("nobody"), call.WaitForSpoke())
			ended <- err
		}()
		later(600 * time.Millisecond)
		cancel()
		begin := time.Now()
		err := <-ended
		if took := time.Since(begin); took > 0 || err == nil {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// Interceptors see a unary call as one. Nil ones are ignored.
func TestInterceptedCallIsNoStream(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &hub.Options{Interceptors: []call.Interceptor{nil}})
		net.Spoke("b", nil, echo)
		var streams []bool
		s := net.Spoke("a", &spoke.Options{Interceptors: []call.Interceptor{nil, func(next call.Handler) call.Handler {
			return func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
				streams = append(streams, req.Stream)
				return next(ctx, req, send)
			}
		}}}, nil)
		if _, err := s.Call(t.Context(), &call.Request{Operation: "test.echo", Input: []byte(`"x"`)}); err != nil || len(streams) != 1 || streams[0] {
			t.Errorf("streams %v, %v", streams, err)
		}
	})
}

// A header value with a control character is refused by New, and named.
func TestHeaderValueIsChecked(t *testing.T) {
	for value, ok := range map[string]bool{"plain": true, "tab\tin": true, "line\nfeed": false, "\x00": false, "\x7f": false} {
		_, err := spoke.New("ws://127.0.0.1", &spoke.Options{ID: "a", Header: http.Header{"X-Test": {value}}})
		if ok != (err == nil) || err != nil && !strings.Contains(err.Error(), "X-Test") {
			t.Errorf("%q: %v", value, err)
		}
	}
}

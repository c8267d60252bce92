package hub_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/badvalues"
	"github.com/alkdev/hubspoke/internal/bubble"
)

// A bad value fails only its own call or event: on one hub, and across two.
func TestBadValues(t *testing.T) {
	for name, test := range map[string]func(t *testing.T, from, to *hubtest.Network){"calls": badvalues.Calls, "events": badvalues.Events} {
		t.Run(name+" on one hub", func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				n := hubtest.New(t, nil)
				test(t, n, n)
			})
		})
		t.Run(name+" across two hubs", func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				a, b := twoHubs(t)
				test(t, a, b)
			})
		})
	}
}

// The text of a handler's error arrives: once where it was wrapped, and cut where it is larger than a message.
func TestErrorTexts(t *testing.T) {
	declined := &call.Error{Code: "CARD_DECLINED", Message: "no funds"}
	failures := map[string]error{
		"err.wrapped":  fmt.Errorf("while charging: %w", declined),
		"err.long":     errors.New("the beginning " + strings.Repeat("語\x01", 1<<20)),
		"err.details":  &call.Error{Code: "CARD_DECLINED", Message: "no funds", Details: []byte(`{"log":"` + strings.Repeat("x", 2<<20) + `"}`)},
		"err.wholeish": errors.New(strings.Repeat("x", 1<<20-150)),
	}
	serve := func(r *call.Registry) {
		for name, err := range failures {
			_ = call.Handle(r, call.Operation{Name: name}, func(context.Context, any) (any, error) { return nil, err })
		}
	}
	bubble.Test(t, func(t *testing.T) {
		a, b := twoHubs(t)
		worker := b.Spoke("worker", nil, serve)
		for who, caller := range map[string]call.Caller{"hub": a.Hub, "spoke": a.Spoke("client", nil, nil)} {
			for name, want := range map[string][]string{
				"err.wrapped":  {"CARD_DECLINED: while charging: no funds"},
				"err.long":     {"EXECUTION_ERROR: the beginning 語", "… (cut, 4194318 bytes in all)"},
				"err.details":  {"CARD_DECLINED: no funds", "(details of 2097162 bytes left out)"},
				"err.wholeish": {"EXECUTION_ERROR: xxx", "xxx"},
			} {
				_, err := call.Invoke[string](t.Context(), caller, name, nil)
				if err == nil || !strings.HasPrefix(err.Error(), want[0]) || !strings.HasSuffix(err.Error(), want[len(want)-1]) || len(err.Error()) > 1<<20 {
					t.Errorf("%s calls %s: %.60v", who, name, err)
				}
			}
		}
		if n := worker.Stats().Connections; n != 1 {
			t.Errorf("the worker has connected %d times", n)
		}
	})
}

// A caller that cannot decode the answer gets DECODE_ERROR with Sent true.
func TestDecodeError(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := hubtest.New(t, nil)
		n.Spoke("worker", nil, func(r *call.Registry) {
			_ = call.Handle(r, call.Operation{Name: "text.answer"}, func(context.Context, any) (string, error) { return "no number", nil })
			_ = call.HandleStream(r, call.Operation{Name: "text.answers"}, func(_ context.Context, _ any, send func(string) error) error { return send("no number") })
		})
		check := func(err error) {
			t.Helper()
			if e, ok := errors.AsType[*call.Error](err); !ok || e.Code != call.CodeDecode || !e.Sent || e.Retryable {
				t.Errorf("%+v", err)
			}
		}
		_, err := call.Invoke[int](t.Context(), n.Hub, "text.answer", nil)
		check(err)
		for _, err := range call.Stream[int](t.Context(), n.Hub, "text.answers", nil) {
			check(err)
		}
		for r, err := range call.Gather[int](t.Context(), n.Hub, "text.answer", nil) {
			check(cmp.Or(err, r.Err))
		}
	})
}

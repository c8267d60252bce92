package call_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/bubble"
)

// failing fails the first n attempts with e.
func failing(n int, e *call.Error, made *[]time.Time) call.Handler {
	return func(_ context.Context, _ *call.Request, send func(call.Envelope) error) error {
		*made = append(*made, time.Now())
		if len(*made) <= n {
			return e
		}
		return send(call.Envelope{})
	}
}

func TestRepeat(t *testing.T) {
	unsent := &call.Error{Code: call.CodeUnavailable, Retryable: true}
	sent := &call.Error{Code: call.CodeDisconnected, Retryable: true, Sent: true}
	final := &call.Error{Code: call.CodeAccessDenied}
	for name, c := range map[string]struct {
		fails  int
		err    *call.Error
		opts   []call.Option
		made   int
		failed bool
	}{
		"once without Retry":                 {1, unsent, nil, 1, true},
		"until it goes well":                 {2, unsent, []call.Option{call.Retry(5, time.Second)}, 3, false},
		"no more than attempts":              {9, unsent, []call.Option{call.Retry(3, time.Second)}, 3, true},
		"not what can have run":              {1, sent, []call.Option{call.Retry(3, time.Second)}, 1, true},
		"what can have run, if idempotent":   {1, sent, []call.Option{call.Retry(3, time.Second), call.Idempotent()}, 2, false},
		"not what cannot help":               {1, final, []call.Option{call.Retry(3, time.Second), call.Idempotent()}, 1, true},
		"no longer than the call has time":   {9, unsent, []call.Option{call.Retry(9, time.Second), call.Timeout(1400 * time.Millisecond)}, 2, true},
		"with a pause of its own by default": {1, unsent, []call.Option{call.Retry(2, 0)}, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				var made []time.Time
				req := call.NewRequest("a.b", nil, c.opts...)
				err := call.Repeat(t.Context(), req, func(call.Envelope) error { return nil }, failing(c.fails, c.err, &made))
				if (err != nil) != c.failed || len(made) != c.made {
					t.Errorf("%v after %d attempts; want %d, failed %v", err, len(made), c.made, c.failed)
				}
				for i := 2; i < len(made); i++ {
					if made[i].Sub(made[i-1]) < made[i-1].Sub(made[i-2])/2 {
						t.Errorf("the pauses do not grow: %v", made)
					}
				}
			})
		})
	}
}

// A stream is repeated only before its first answer, and no attempt follows the
// end of the context.
func TestRepeatStops(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		unsent := &call.Error{Code: call.CodeUnavailable, Retryable: true}
		made := 0
		req := call.NewRequest("a.b", nil, call.Retry(5, time.Second), call.Idempotent())
		err := call.Repeat(t.Context(), req, func(call.Envelope) error { return nil },
			func(_ context.Context, _ *call.Request, send func(call.Envelope) error) error {
				made++
				_ = send(call.Envelope{})
				return unsent
			})
		if !errors.Is(err, call.CodeUnavailable) || made != 1 {
			t.Errorf("%v after %d attempts of a stream that had begun", err, made)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(1100*time.Millisecond, cancel)
		var at []time.Time
		err = call.Repeat(ctx, req, func(call.Envelope) error { return nil }, failing(9, unsent, &at))
		if !errors.Is(err, call.CodeUnavailable) || len(at) != 2 || time.Since(at[0]) > 1100*time.Millisecond {
			t.Errorf("%v after %d attempts with a context that ended", err, len(at))
		}
	})
}

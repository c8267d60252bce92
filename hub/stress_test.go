package hub_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
)

// Connections are cut and replaced, calls canceled, all at once: every call ends
// with its own answer or a proper error, no slot is lost, nothing is left.
func TestReconnectReplacementAndCancelTogether(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		var mu sync.Mutex // guards workers
		workers := map[string]*hubtest.Spoke{}
		start := func(id string) {
			s := net.Start(id, &spoke.Options{BackoffMin: time.Millisecond, BackoffMax: 4 * time.Millisecond}, stressOperations)
			mu.Lock()
			defer mu.Unlock()
			workers[id] = s
		}
		for _, id := range []string{"a", "b", "c"} {
			start(id)
		}
		asker := net.Spoke("asker", nil, nil)
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 40 {
				later(time.Duration(rand.IntN(5000)) * time.Microsecond)
				mu.Lock()
				w := workers[string("abc"[rand.IntN(3)])]
				mu.Unlock()
				if rand.IntN(4) == 0 {
					start(w.ID()) // which replaces it
				} else {
					w.Wire.Cut()
				}
			}
		})
		var answered atomic.Int64
		for i := range 8 {
			var c call.Caller = net.Hub
			if i%2 == 1 {
				c = asker
			}
			wg.Go(func() {
				for n := range 25 {
					if stressCall(t, c, fmt.Sprintf("%d/%d", i, n)) {
						answered.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if n := answered.Load(); n < 50 {
			t.Errorf("%d of 200 calls were answered, want a quarter at least", n)
		}
		later(time.Minute)
		s := net.Hub.Stats()
		if s.InFlight != 0 || s.Serving != 0 || s.Spokes != 4 || s.Connections != 4 || s.QueuedBytes != 0 {
			t.Errorf("left: %+v", s)
		}
	})
}

func stressOperations(r *call.Registry) {
	registered(call.Handle(r, call.Operation{Name: "test.echo"}, func(ctx context.Context, in string) (string, error) {
		select {
		case <-time.After(time.Duration(rand.IntN(3000)) * time.Microsecond):
			return in, nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}))
	registered(call.HandleStream(r, call.Operation{Name: "test.repeat"}, func(_ context.Context, in string, send func(string) error) error {
		for i := range 100 {
			if err := send(fmt.Sprint(in, " ", i)); err != nil {
				return err
			}
		}
		return nil
	}))
}

// stressCall makes a call and reports whether it was answered.
func stressCall(t *testing.T, c call.Caller, text string) bool {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if rand.IntN(4) == 0 {
		time.AfterFunc(time.Duration(rand.IntN(2000))*time.Microsecond, cancel)
	}
	if rand.IntN(3) > 0 {
		out, err := call.Invoke[string](ctx, c, "test.echo", text, call.WaitForSpoke())
		stressError(t, err)
		if err == nil && out != text {
			t.Errorf("asked %q, got %q", text, out)
		}
		return err == nil
	}
	n := 0
	for out, err := range call.Stream[string](ctx, c, "test.repeat", text) {
		if err != nil {
			stressError(t, err)
			return false
		}
		if out != fmt.Sprint(text, " ", n) {
			t.Errorf("response %d of %q is %q", n, text, out)
		}
		n++
	}
	if n != 100 {
		t.Errorf("a stream ended well after %d responses", n)
	}
	return true
}

func stressError(t *testing.T, err error) {
	e, ok := errors.AsType[*call.Error](err)
	if err == nil || ok && (e.Code == call.CodeDisconnected || e.Code == call.CodeAborted || e.Code == call.CodeOperationNotFound) {
		return
	}
	t.Errorf("%v", err)
}

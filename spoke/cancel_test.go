package spoke_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
)

// What ends a call ends its handler's context, through the hub.
func TestCancelAndTimeReachTheHandler(t *testing.T) {
	for name, c := range map[string]struct {
		code call.Code
		end  func(cancel func()) []call.Option
	}{
		"cancel":  {call.CodeAborted, func(cancel func()) []call.Option { time.AfterFunc(time.Second, cancel); return nil }},
		"timeout": {call.CodeTimeout, func(func()) []call.Option { return []call.Option{call.Timeout(time.Second)} }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				net := hubtest.New(t, nil)
				ended := make(chan time.Duration, 1)
				start := time.Now()
				free := make(chan struct{})
				net.Spoke("b", &spoke.Options{MaxInFlight: 1}, func(r *call.Registry) {
					echo(r)
					registered(call.Handle(r, call.Operation{Name: "test.wait"}, func(ctx context.Context, _ any) (string, error) {
						<-ctx.Done()
						ended <- time.Since(start)
						<-free
						return "", ctx.Err()
					}))
				})
				a := net.Spoke("a", nil, nil)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				_, err := call.Invoke[string](ctx, a, "test.wait", nil, c.end(cancel)...)
				wantError(t, err, c.code, true)
				if took := time.Since(start); took != time.Second {
					t.Errorf("the caller waited %v", took)
				}
				if took := <-ended; took != time.Second {
					t.Errorf("the handler's context ended after %v", took)
				}
				_, err = call.Invoke[string](t.Context(), a, "test.echo", "x") // the slot is held
				wantError(t, err, call.CodeOverloaded, false)
				close(free)
				synctest.Wait()
				if _, err = call.Invoke[string](t.Context(), a, "test.echo", "x"); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A reader that is slow for a minute holds up its producer and nobody else.
func TestSlowReaderSlowsItsProducerOnly(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		var sent atomic.Int64
		net.Spoke("b", nil, func(r *call.Registry) {
			echo(r)
			registered(call.HandleStream(r, call.Operation{Name: "test.flood"}, func(_ context.Context, n int, send func([]byte) error) error {
				for range n {
					if err := send(make([]byte, 2000)); err != nil {
						return err
					}
					sent.Add(1)
				}
				return nil
			}))
		})
		a := net.Spoke("a", nil, nil)
		got := 0
		for _, err := range call.Stream[[]byte](t.Context(), a, "test.flood", 200, call.Credit(8)) {
			if err != nil {
				t.Fatal(err)
			}
			if got++; got > 60 {
				continue
			}
			later(time.Second)
			if ahead := int(sent.Load()) - got; ahead > 3*32+8 {
				t.Fatalf("the producer is %d ahead", ahead)
			}
			start := time.Now()
			for _, c := range []call.Caller{net.Hub, a} {
				if _, err := call.Invoke[string](t.Context(), c, "test.echo", "x"); err != nil || time.Since(start) != 0 {
					t.Fatalf("another call: %v after %v", err, time.Since(start))
				}
			}
		}
		if got != 200 {
			t.Errorf("%d responses", got)
		}
	})
}

// Leaving the loop cancels the handler.
func TestLeavingAStream(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		ended := make(chan error, 2)
		net.Spoke("b", nil, func(r *call.Registry) {
			registered(call.HandleStream(r, call.Operation{Name: "test.endless"}, func(_ context.Context, _ any, send func(int) error) error {
				for i := 0; ; i++ {
					if err := send(i); err != nil {
						ended <- err
						return err
					}
				}
			}))
		})
		a := net.Spoke("a", nil, nil)
		for _, c := range []call.Caller{net.Hub, a} {
			for n, err := range call.Stream[int](t.Context(), c, "test.endless", nil) {
				if err != nil {
					t.Fatal(err)
				}
				if n == 100 {
					break
				}
			}
			<-ended
		}
		synctest.Wait()
		if s := net.Hub.Stats(); s.InFlight != 0 || s.Serving != 0 {
			t.Errorf("%+v", s)
		}
	})
}

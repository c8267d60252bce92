package hub_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
)

// The window of a session is over while requests to its spoke are on the wire and others have not left: all end at once,
// each with the truth, and one that waits for a spoke goes to the next session by itself.
func TestUnsentWhenTheWindowIsOver(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &hub.Options{SessionWindow: 5 * time.Second})
		s := net.Spoke("a", nil, func(r *call.Registry) {
			registered(call.Handle(r, call.Operation{Name: "test.len"}, func(_ context.Context, in string) (int, error) { return len(in), nil }))
		})
		s.Wire.Stall(hubtest.ToSpoke)
		ask := func(n int, opts ...call.Option) chan error {
			over := make(chan error, 1)
			go func() {
				out, err := call.Invoke[int](t.Context(), net.Hub, "test.len", strings.Repeat("x", n), opts...)
				if err == nil && out != n {
					err = errors.New("another's answer")
				}
				over <- err
			}()
			synctest.Wait()
			return over
		}
		held := ask(1)          // at the spoke's door
		written := ask(200_000) // more than the pipe holds
		unsent, patient := ask(10), ask(20, call.WaitForSpoke(), call.Timeout(time.Hour))
		start := time.Now()
		s.Wire.Refuse(errors.New("no route"))
		s.Wire.Cut()
		for over, sent := range map[chan error]bool{held: true, written: true, unsent: false} {
			e, ok := errors.AsType[*call.Error](<-over)
			if !ok || e.Code != call.CodeDisconnected || e.Sent != sent {
				t.Errorf("%+v, sent should be %v", e, sent)
			}
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("they ended after %v", took)
		}
		later(time.Minute)
		if len(patient) != 0 {
			t.Fatalf("it has not waited: %v", <-patient)
		}
		s.Wire.Resume()
		s.Wire.Refuse(nil)
		if err := <-patient; err != nil {
			t.Error(err)
		}
	})
}

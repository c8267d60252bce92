package spoke_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/spoke"
)

// The hub resumes just in time, and its answer comes when the spoke's window is over: the spoke does not take
// that for a session of its own, but begins a new one; the calls of the old one end on both sides.
func TestResumedTooLate(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		s := net.Spoke("a", &spoke.Options{BackoffMin: 10 * time.Millisecond, BackoffMax: 10 * time.Millisecond}, func(r *call.Registry) {
			echo(r)
			registered(call.Handle(r, call.Operation{Name: "test.forever"}, func(ctx context.Context, _ int) (int, error) { <-ctx.Done(); return 0, ctx.Err() }))
		})
		heard := make(chan pubsub.Event, 10)
		stop, err := s.Events().Listen(t.Context(), "topic", func(ev pubsub.Event) { heard <- ev })
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		up, down := make(chan error, 1), make(chan error, 1)
		for c, out := range map[call.Caller]chan error{s: up, net.Hub: down} {
			go func() {
				_, err := call.Invoke[int](t.Context(), c, "test.forever", 1, call.To("a"), call.Timeout(-1))
				out <- err
			}()
		}
		later(time.Second)
		s.Wire.Refuse(errors.New("no route"))
		s.Wire.Cut()
		later(13500 * time.Millisecond)
		s.Wire.Delay(time.Second)
		s.Wire.Refuse(nil)
		wantError(t, <-up, call.CodeDisconnected, true)
		wantError(t, <-down, call.CodeDisconnected, true)
		later(10 * time.Second)
		s.Wire.Delay(0)
		if st := net.Hub.Stats(); st.Resumed != 1 || st.Spokes != 1 || st.InFlight+st.Serving != 0 {
			t.Errorf("hub: %+v", st)
		}
		if st := s.Stats(); st.Resumed != 0 || st.State != "registered" || st.InFlight+st.Serving != 0 {
			t.Errorf("spoke: %+v", st)
		}
		if out, err := call.Invoke[string](t.Context(), net.Hub, "test.echo", "x"); err != nil || out != "x" {
			t.Errorf("%q, %v", out, err)
		}
		if ev := <-heard; !ev.Gap {
			t.Errorf("%+v instead of a gap", ev)
		}
		if err := net.Hub.Events().Dispatch(t.Context(), pubsub.Event{Topic: "topic", Payload: []byte("1")}); err != nil {
			t.Error(err)
		}
		if ev := <-heard; ev.Gap {
			t.Errorf("%+v instead of an event", ev)
		}
	})
}

package hub_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// later lets fake time pass.
func later(d time.Duration) { <-time.After(d) }

// Whichever direction fails, both ends notice within 36 seconds, and a call that
// was in flight ends then.
func TestBothEndsNoticeASilentConnection(t *testing.T) {
	for name, d := range map[string][]hubtest.Direction{
		"to the hub": {hubtest.ToHub}, "to the spoke": {hubtest.ToSpoke}, "both": {hubtest.ToHub, hubtest.ToSpoke},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				net := hubtest.New(t, &hub.Options{SessionWindow: -1})
				a := net.Spoke("a", nil, func(r *call.Registry) {
					registered(call.Handle(r, call.Operation{Name: "test.wait"}, func(ctx context.Context, _ any) (any, error) { <-ctx.Done(); return nil, nil }))
				})
				ended := make(chan error, 1)
				go func() {
					_, err := call.Invoke[any](t.Context(), net.Hub, "test.wait", nil, call.Timeout(time.Hour))
					ended <- err
				}()
				later(time.Minute)
				a.Wire.Refuse(errors.New("no route"))
				for _, one := range d {
					a.Wire.Stall(one)
				}
				later(37 * time.Second)
				if s := net.Hub.Stats(); s.Spokes != 0 {
					t.Errorf("the hub still has it after 37 s: %+v", s)
				}
				if err := <-ended; !errors.Is(err, call.CodeDisconnected) {
					t.Error(err)
				}
				a.Wire.Resume()
				later(time.Minute)
				if s := a.Stats(); s.State == "registered" {
					t.Errorf("the spoke has not noticed: %+v", s)
				}
				a.Wire.Refuse(nil)
				if err := a.Ready(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A quiet connection that lives is kept.
func TestQuietConnectionIsKept(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		a := net.Spoke("a", nil, nil)
		a.Wire.Delay(2 * time.Second)
		later(3 * time.Hour)
		if n := a.Wire.Dials(); n != 1 {
			t.Errorf("%d dials", n)
		}
	})
}

// A hub that is gone after traffic is noticed like one that is gone after silence: the spoke waits for nothing that
// only traffic would bring.
func TestSilenceAfterTrafficIsNoticed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		a := net.Spoke("a", nil, func(r *call.Registry) {
			registered(call.Handle(r, call.Operation{Name: "test.echo"}, func(_ context.Context, in int) (int, error) { return in, nil }))
		})
		for i := range 40 {
			later(time.Duration(i) * time.Second)
			if _, err := call.Invoke[int](t.Context(), net.Hub, "test.echo", i); err != nil {
				t.Fatal(err)
			}
		}
		a.Wire.Refuse(errors.New("no route"))
		a.Wire.Stall(hubtest.ToHub)
		a.Wire.Stall(hubtest.ToSpoke)
		later(37 * time.Second)
		if st := a.State(); st != spoke.BackingOff && st != spoke.Connecting {
			t.Errorf("37 s later the spoke is %v", st)
		}
		a.Wire.Resume()
		a.Wire.Refuse(nil)
	})
}

// An idle connection costs one frame in each direction per interval, and no WebSocket pings.
func TestIdleConnectionSendsOneFrameEachWay(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h, s, _, end := slowSpoke(t, &hub.Options{}, &spoke.Options{}, transport.PipeOptions{}, func(*call.Registry) {})
		defer end()
		later(time.Minute)
		frames, sent := h.Stats().Frames, s.Stats().Frames
		later(100 * 25 * time.Second)
		if n := h.Stats().Frames - frames; n < 95 || n > 106 {
			t.Errorf("the hub received %d frames in 100 intervals", n)
		}
		if n := s.Stats().Frames - sent; n < 95 || n > 106 {
			t.Errorf("the spoke received %d frames in 100 intervals", n)
		}
	})
}

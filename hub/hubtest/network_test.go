package hubtest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
)

func echo(r *call.Registry) {
	registered(call.Handle(r, call.Operation{Name: "test.echo"}, func(_ context.Context, in string) (string, error) { return in, nil }))
}

func wantEcho(t *testing.T, c call.Caller, text string) {
	t.Helper()
	out, err := call.Invoke[string](t.Context(), c, "test.echo", text, call.WaitForSpoke())
	if err != nil || out != text {
		t.Fatalf("echo: %q, %v", out, err)
	}
}

func TestOutsideABubble(t *testing.T) {
	net := hubtest.New(t, nil)
	a := net.Spoke("a", nil, echo)
	b := net.Spoke("b", nil, nil)
	wantEcho(t, net.Hub, "one")
	wantEcho(t, a, "two")
	wantEcho(t, b, "three")
}

func TestCutAndComeBack(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		a := net.Spoke("a", nil, echo)
		for range 10 {
			a.Wire.Cut()
			synctest.Wait()
			wantEcho(t, net.Hub, "again")
			wantEcho(t, a, "again")
		}
		if n := a.Wire.Dials(); n != 11 {
			t.Errorf("%d dials, want 11", n)
		}
	})
}

func TestStallLosesNothing(t *testing.T) {
	for name, d := range map[string]hubtest.Direction{"to the hub": hubtest.ToHub, "to the spoke": hubtest.ToSpoke} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				net := hubtest.New(t, nil)
				a := net.Spoke("a", nil, echo)
				a.Wire.Stall(d)
				start := time.Now()
				time.AfterFunc(5*time.Second, a.Wire.Resume)
				wantEcho(t, net.Hub, "late")
				if took := time.Since(start); took != 5*time.Second {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

func TestStallMissesHeartbeats(t *testing.T) {
	for name, d := range map[string]hubtest.Direction{"to the hub": hubtest.ToHub, "to the spoke": hubtest.ToSpoke} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				net := hubtest.New(t, nil)
				a := net.Spoke("a", nil, echo)
				a.Wire.Stall(d)
				time.AfterFunc(time.Minute, a.Wire.Resume)
				<-time.After(2 * time.Minute)
				wantEcho(t, net.Hub, "again")
				if n := a.Wire.Dials(); n < 2 {
					t.Errorf("%d dials: nobody noticed", n)
				}
			})
		})
	}
}

func TestDelay(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		a := net.Spoke("a", nil, echo)
		a.Wire.Delay(50 * time.Millisecond)
		start := time.Now()
		wantEcho(t, net.Hub, "late")
		if took := time.Since(start); took != 100*time.Millisecond {
			t.Errorf("took %v, want two ways of 50 ms", took)
		}
	})
}

func TestRefuse(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		a := net.Spoke("a", nil, echo)
		a.Wire.Refuse(context.DeadlineExceeded)
		a.Wire.Cut()
		synctest.Wait()
		time.AfterFunc(time.Minute, func() { a.Wire.Refuse(nil) })
		start := time.Now()
		out, err := call.Invoke[string](t.Context(), a, "test.echo", "x", call.Timeout(5*time.Minute))
		if err != nil || out != "x" || time.Since(start) < time.Minute {
			t.Fatalf("%q, %v after %v", out, err, time.Since(start))
		}
	})
}

// registered checks that an operation was registered, where no test is at hand.
func registered(err error) {
	if err != nil {
		panic(err)
	}
}

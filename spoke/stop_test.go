package spoke_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

func TestReplacedStops(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		first := net.Spoke("a", nil, nil)
		net.Spoke("a", nil, nil)
		wantClose(t, first.Wait(), transport.CloseReplaced)
	})
}

func TestDisconnectedByTheOperatorStops(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		s := net.Spoke("a", nil, nil)
		if done, err := net.Hub.Disconnect(t.Context(), "a", "misbehaved"); !done || err != nil {
			t.Fatal(done, err)
		}
		wantClose(t, s.Wait(), transport.CloseKicked)
	})
}

func TestRefusedRegistrationStops(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &hub.Options{Authorize: func(a hub.Action) error {
			if a.Verb == hub.Hold {
				return errors.New("not this id")
			}
			return nil
		}})
		err := net.Start("a", nil, nil).Wait()
		wantClose(t, err, transport.CloseRegistrationRefused)
		if !errors.Is(err, call.CodeAccessDenied) {
			t.Errorf("%v does not say why", err)
		}
	})
}

func wantClose(t *testing.T, err error, code transport.CloseCode) {
	t.Helper()
	if ce, ok := errors.AsType[*transport.CloseError](err); !ok || ce.Code != code || !ce.Remote {
		t.Errorf("Run ended with %v, want %v", err, code)
	}
}

func TestTakenIDComesBack(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		alice := net.Spoke("a", &spoke.Options{Dialer: net.Dialer(&call.Identity{ID: "alice"})}, nil)
		bob := net.Start("a", &spoke.Options{Dialer: net.Dialer(&call.Identity{ID: "bob"})}, nil)
		later(time.Minute)
		if bob.Wire.Dials() < 3 || bob.Stats().Connections != 0 {
			t.Errorf("bob: %+v", bob.Stats())
		}
		alice.Stop()
		if err := bob.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestStatesInOrder(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		var mu sync.Mutex
		var states []spoke.State
		s := net.Spoke("a", &spoke.Options{OnState: func(st spoke.State) {
			mu.Lock()
			defer mu.Unlock()
			states = append(states, st)
		}}, nil)
		if err := s.Reconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Wait(); err != nil {
			t.Error(err)
		}
		want := []spoke.State{spoke.Registered, spoke.BackingOff, spoke.Connecting, spoke.Registered, spoke.Draining, spoke.Stopped}
		if !slices.Equal(states, want) {
			t.Errorf("%v, want %v", states, want)
		}
	})
}

// A spoke that loses its connection while it drains, and makes another for its call in flight, is draining all the time.
func TestStateWhileDraining(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		var mu sync.Mutex
		var states []spoke.State
		s := net.Spoke("a", &spoke.Options{OnState: func(st spoke.State) {
			mu.Lock()
			defer mu.Unlock()
			states = append(states, st)
		}}, threeSeconds)
		called := make(chan error, 1)
		go func() {
			_, err := call.Invoke[int](t.Context(), net.Hub, "test.slow", 1)
			called <- err
		}()
		later(time.Second)
		left := make(chan error, 1)
		go func() { left <- s.Shutdown(t.Context()) }()
		synctest.Wait()
		s.Wire.Cut()
		if err := <-called; err != nil {
			t.Error(err)
		}
		if err := <-left; err != nil {
			t.Error(err)
		}
		if err := s.Wait(); err != nil {
			t.Error(err)
		}
		if st := s.Stats(); st.Resumed != 1 {
			t.Errorf("%+v", st)
		}
		if want := []spoke.State{spoke.Registered, spoke.Draining, spoke.Stopped}; !slices.Equal(states, want) {
			t.Errorf("%v, want %v", states, want)
		}
	})
}

// Shutdown at any moment before the spoke is registered ends Run.
func TestShutdownWhileConnecting(t *testing.T) {
	for _, when := range []time.Duration{0, 50 * time.Millisecond, 150 * time.Millisecond, 250 * time.Millisecond} {
		bubble.Test(t, func(t *testing.T) {
			net := hubtest.New(t, nil)
			wire := net.Dialer(nil)
			wire.Delay(100 * time.Millisecond)
			s := net.Start("a", &spoke.Options{Dialer: wire}, nil)
			later(when)
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := s.Shutdown(ctx); err != nil {
				t.Errorf("after %v: %v", when, err)
			}
			if err := s.Wait(); err != nil || time.Since(start) > 5*time.Second {
				t.Errorf("after %v: Run: %v, %v later", when, err, time.Since(start))
			}
		})
	}
}

func TestShutdownBeforeRun(t *testing.T) {
	s, err := spoke.New(hubtest.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Run(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := s.Call(t.Context(), call.NewRequest("a.b", nil)); !errors.Is(err, call.CodeUnavailable) {
		t.Error(err)
	}
}

func TestContextEndsRun(t *testing.T) {
	for name, wait := range map[string]time.Duration{"registered": time.Second, "at once": 0} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				net := hubtest.New(t, nil)
				s := net.Start("a", nil, nil)
				later(wait)
				s.Stop()
				if err := s.Wait(); !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				later(time.Second)
				if n := net.Hub.Stats().Spokes; n != 0 {
					t.Errorf("%d spokes left", n)
				}
			})
		})
	}
}

package spoke_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
)

// A spoke that has lost its hub for good and waits for a handler is draining: it is not registered, and not ready.
func TestStateWhileHandlersEnd(t *testing.T) {
	for name, leave := range map[string]func(*testing.T, *hubtest.Network, *hubtest.Spoke){
		"context ended": func(_ *testing.T, _ *hubtest.Network, s *hubtest.Spoke) { s.Stop() },
		"refused": func(t *testing.T, n *hubtest.Network, _ *hubtest.Spoke) {
			_, err := n.Hub.Disconnect(t.Context(), "a", "misbehaved")
			must(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				n := hubtest.New(t, nil)
				release := make(chan struct{})
				var states []spoke.State
				s := n.Spoke("a", &spoke.Options{OnState: func(st spoke.State) { states = append(states, st) }}, func(r *call.Registry) {
					registered(call.Handle(r, call.Operation{Name: "test.stuck"}, func(context.Context, int) (int, error) {
						<-release
						return 0, nil
					}))
				})
				go func() { _, _ = call.Invoke[int](t.Context(), n.Hub, "test.stuck", 1) }()
				synctest.Wait()
				left := make(chan struct{})
				go func() { defer close(left); leave(t, n, s) }()
				later(1)
				if st, count := s.State(), n.Hub.Stats().Spokes; st != spoke.Draining || count != 0 {
					t.Errorf("%v, and the hub has %d spokes", st, count)
				}
				if err := s.Ready(t.Context()); !errors.Is(err, spoke.ErrStopped) {
					t.Errorf("Ready: %v", err)
				}
				close(release)
				<-left
				if err := s.Wait(); err == nil {
					t.Error("Run returned nil")
				}
				if want := []spoke.State{spoke.Registered, spoke.Draining, spoke.Stopped}; !slices.Equal(states, want) {
					t.Errorf("%v, want %v", states, want)
				}
			})
		})
	}
}

// A spoke whose context has ended is draining while it waits for the hub's answer to its close frame.
func TestStateWhileClosing(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := make(rawHub, 1)
		s, err := spoke.New("ws://h.test/", &spoke.Options{ID: "a", Dialer: h})
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- s.Run(ctx) }()
		conn := h.answer(t, `"session":null`)
		must(t, s.Ready(t.Context()))
		cancel()
		synctest.Wait()
		if err := s.Ready(t.Context()); s.State() != spoke.Draining || !errors.Is(err, spoke.ErrStopped) {
			t.Errorf("%v, Ready: %v", s.State(), err)
		}
		conn.Abort()
		if err := <-ran; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
}

package spoke_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

const own = "ws://own.test/"

// Whatever a proxy closes a connection with, to both sides: the spoke offers its session, the hub still has it, and no call
// notices.
func TestProxiesEndNoSession(t *testing.T) {
	for _, code := range []transport.CloseCode{0, 1000, 1001, 1005, 1008, 1011, 1012, 1013, 1014, 3000, 4000, 4007} {
		t.Run(fmt.Sprint(int(code)), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				m := newMiddle(t)
				h := m.hub(own, hub.Options{})
				threeSeconds(h.Operations())
				s, _ := m.spoke("a", spoke.Options{}, threeSeconds)
				down, up := make(chan error, 1), make(chan error, 1)
				go func() { _, err := call.Invoke[int](t.Context(), h, "test.slow", 1, call.To("a")); down <- err }()
				go func() { _, err := call.Invoke[int](t.Context(), s, "test.slow", 1); up <- err }()
				later(time.Second)
				m.close(code)
				if err := errors.Join(<-down, <-up); err != nil {
					t.Error(err)
				}
				if st := s.Stats(); st.Resumed != 1 || st.Connections != 2 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// A spoke that leaves permanently closes with 4008, whichever way it leaves; the hub ends the session immediately.
func TestLeavingEndsTheSession(t *testing.T) {
	for name, leave := range map[string]func(s *spoke.Spoke, cancel func()){
		"Shutdown": func(s *spoke.Spoke, _ func()) { _ = s.Shutdown(context.Background()) },
		"Shutdown, out of time": func(s *spoke.Spoke, _ func()) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_ = s.Shutdown(ctx)
		},
		"Run's context": func(_ *spoke.Spoke, cancel func()) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				m := newMiddle(t)
				h := m.hub(own, hub.Options{})
				s, err := spoke.New(own, &spoke.Options{ID: "a", Dialer: m})
				if err != nil {
					t.Fatal(err)
				}
				threeSeconds(s.Operations())
				ctx, cancel := context.WithCancel(t.Context())
				ran := make(chan error, 1)
				go func() { ran <- s.Run(ctx) }()
				if err := s.Ready(t.Context()); err != nil {
					t.Fatal(err)
				}
				if name == "Shutdown, out of time" {
					go func() { _, _ = call.Invoke[int](context.Background(), h, "test.slow", 1, call.To("a")) }()
					synctest.Wait()
				}
				left := make(chan string, 1)
				stop, err := h.Events().Listen(t.Context(), hub.TopicDisconnected, eventReason(left))
				if err != nil {
					t.Fatal(err)
				}
				defer stop()
				leave(s, cancel)
				<-ran
				synctest.Wait()
				if st := h.Stats(); st.Spokes != 0 {
					t.Errorf("%+v", st)
				}
				if reason := <-left; reason != "left" {
					t.Errorf("reason %q", reason)
				}
				if got := m.closes(); !slices.Equal(got, []transport.CloseCode{transport.CloseLeft}) {
					t.Errorf("on the wire the spoke closed with %v, want 4008", got)
				}
				cancel()
			})
		})
	}
}

// The hub restarts before it has acknowledged a call, and the answer to the first registration at the new one is lost: the
// spoke has another session by then, and never sends the call again.
func TestLostFirstAnswerIsNoResumption(t *testing.T) {
	for _, lost := range []int{1, 2, 3} {
		t.Run(fmt.Sprint(lost, " answers lost"), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				var ran atomic.Int64
				serve := func(r *call.Registry) {
					if err := call.Handle(r, call.Operation{Name: "test.once"}, func(ctx context.Context, _ int) (int, error) {
						ran.Add(1)
						<-ctx.Done()
						return 0, ctx.Err()
					}); err != nil {
						t.Error(err)
					}
				}
				m := newMiddle(t)
				old := m.hub(own, hub.Options{})
				serve(old.Operations())
				s, _ := m.spoke("a", spoke.Options{BackoffMax: 200 * time.Millisecond}, nil)
				ended := make(chan error, 1)
				go func() {
					_, err := call.Invoke[int](t.Context(), s, "test.once", 1, call.Timeout(time.Hour))
					ended <- err
				}()
				synctest.Wait()
				m.route(own, nil)
				m.cut()
				synctest.Wait()
				old.Close()
				synctest.Wait()
				m.swallowNext(lost)
				h := m.hub(own, hub.Options{})
				serve(h.Operations())
				wantError(t, <-ended, call.CodeDisconnected, true)
				later(time.Minute)
				if ran.Load() != 1 {
					t.Errorf("the handler ran %d times", ran.Load())
				}
				if st := h.Stats(); st.Spokes != 1 || len(m.dials()) < 2+lost {
					t.Errorf("%d spokes after %d dials", st.Spokes, len(m.dials()))
				}
				if st := s.Stats(); st.Resumed != 0 || st.State != "registered" {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// A registration whose answer was lost, for a session without counted frames: it is resumed with a count of 0, since
// the spoke knows its id.
func TestResumedBeforeAnythingWasSaid(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		m := newMiddle(t)
		h := m.hub(own, hub.Options{})
		s, _ := m.spoke("a", spoke.Options{}, nil)
		m.cut()
		later(time.Second)
		m.swallowNext(1)
		m.cut()
		later(2 * time.Second)
		if st := s.Stats(); st.Resumed != 2 || h.Stats().Resumed != 3 || st.State != "registered" {
			t.Errorf("%+v, hub resumed %d", st, h.Stats().Resumed)
		}
	})
}

// After the hub's __drain and 1012 the session has ended and is not offered: the spoke ends its side immediately.
func TestDrainedHubEndsTheSession(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		m := newMiddle(t)
		h := m.hub(own, hub.Options{URL: "ws://named.test/"})
		m.route("ws://named.test/", h)
		s, _ := m.spoke("a", spoke.Options{}, nil)
		if err := h.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		m.hub(own, hub.Options{})
		later(time.Minute)
		for _, url := range m.dials()[1:] {
			if url != own {
				t.Errorf("dialed %s after the hub had drained", url)
			}
		}
		if st := s.Stats(); st.Resumed != 0 || st.Connections != 2 {
			t.Errorf("%+v", st)
		}
	})
}

// A hub that drains waits for the spoke that lost its connection with a call in flight, and the spoke resumes for it.
func TestDrainingHubResumes(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		m := newMiddle(t)
		h := m.hub(own, hub.Options{})
		threeSeconds(h.Operations())
		s, _ := m.spoke("a", spoke.Options{}, threeSeconds)
		down, up := make(chan error, 1), make(chan error, 1)
		go func() { _, err := call.Invoke[int](t.Context(), h, "test.slow", 1, call.To("a")); down <- err }()
		go func() { _, err := call.Invoke[int](t.Context(), s, "test.slow", 1); up <- err }()
		later(time.Second)
		over := make(chan error, 1)
		go func() { over <- h.Shutdown(t.Context()) }()
		synctest.Wait()
		m.close(1001)
		if err := errors.Join(<-down, <-up, <-over); err != nil {
			t.Error(err)
		}
		if st := s.Stats(); st.Resumed != 1 {
			t.Errorf("%+v", st)
		}
	})
}

package spoke_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/spoke"
)

// large serves an operation whose answer does not pass the proxy, and counts how often it runs.
func large(ran *atomic.Int64, m *middle) func(r *call.Registry) {
	m.largest = 64 << 10
	return func(r *call.Registry) {
		echo(r)
		if err := call.Handle(r, call.Operation{Name: "test.large"}, func(context.Context, int) (string, error) {
			ran.Add(1)
			return strings.Repeat("x", 128<<10), nil
		}); err != nil {
			m.t.Error(err)
		}
	}
}

// A response whose caller has left does not hold up what is behind it, when it was lost with its connection.
func TestAbandonedResponseIsReplaced(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		m := newMiddle(t)
		h := m.hub(own, hub.Options{})
		var ran atomic.Int64
		s, _ := m.spoke("a", spoke.Options{}, large(&ran, m))
		_, err := call.Invoke[string](t.Context(), h, "test.large", 1, call.Timeout(time.Second))
		wantError(t, err, call.CodeTimeout, true)
		synctest.Wait() // until the spoke knows
		m.cut()
		out, err := call.Invoke[string](t.Context(), h, "test.echo", "x")
		if err != nil || out != "x" || ran.Load() != 1 {
			t.Errorf("%q, %v; the handler ran %d times", out, err, ran.Load())
		}
		synctest.Wait()
		if st := s.Stats(); st.Resumed != 1 || h.Stats().InFlight != 0 {
			t.Errorf("%+v, %d in flight at the hub", st, h.Stats().InFlight)
		}
	})
}

// So do the items of a stream whose reader has left: neither those that were lost with their connection nor those that were never
// written are sent, the stream still ends once, and no count goes wrong.
func TestAbandonedStreamIsReplaced(t *testing.T) {
	for name, goesOn := range map[string]bool{"in flight": true, "completed": false} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				m := newMiddle(t)
				h := m.hub(own, hub.Options{})
				m.largest = 64 << 10
				ended := make(chan error, 1)
				s, _ := m.spoke("a", spoke.Options{LogBytes: 4 << 20}, func(r *call.Registry) {
					echo(r)
					if err := call.HandleStream(r, call.Operation{Name: "test.large"}, func(ctx context.Context, _ int, send func(string) error) (err error) {
						defer func() { ended <- err }()
						for range 8 {
							if err := send(strings.Repeat("x", 128<<10)); err != nil {
								return err
							}
						}
						if goesOn {
							<-ctx.Done()
							return context.Cause(ctx)
						}
						return nil
					}); err != nil {
						m.t.Error(err)
					}
				})
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				for _, err := range call.Stream[string](ctx, h, "test.large", 1) {
					wantError(t, err, call.CodeTimeout, true)
				}
				synctest.Wait() // until the spoke knows
				if err := <-ended; (err != nil) != goesOn {
					t.Errorf("the handler ended with %v", err)
				}
				m.cut()
				out, err := call.Invoke[string](t.Context(), h, "test.echo", "x")
				if err != nil || out != "x" {
					t.Errorf("%q, %v", out, err)
				}
				later(3 * time.Second) // until all is acknowledged
				if st, hs := s.Stats(), h.Stats(); st.Resumed != 1 || st.QueuedBytes != 0 || hs.InFlight != 0 || hs.Unknown != 0 || hs.Late > 1 {
					t.Errorf("%+v, hub %+v", st, hs)
				}
			})
		})
	}
}

// A response that never passes ends the session after the third connection that lasted the heartbeat interval: its caller gets
// a truthful error, and the spoke can be called again.
func TestResponseThatNeverPasses(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		m := newMiddle(t)
		h := m.hub(own, hub.Options{})
		var ran atomic.Int64
		s, _ := m.spoke("a", spoke.Options{}, large(&ran, m))
		ended := make(chan error, 1)
		go func() {
			_, err := call.Invoke[string](t.Context(), h, "test.large", 1, call.Timeout(time.Hour))
			ended <- err
		}()
		for range 2 {
			later(30 * time.Second)
			m.cut()
			later(time.Second)
		}
		if len(ended) != 0 || s.Stats().Resumed != 2 {
			t.Fatalf("ended after two connections, %+v", s.Stats())
		}
		later(30 * time.Second)
		m.cut()
		wantError(t, <-ended, call.CodeDisconnected, true)
		later(time.Second)
		out, err := call.Invoke[string](t.Context(), h, "test.echo", "x")
		if st := s.Stats(); err != nil || out != "x" || ran.Load() != 1 || st.Resumed != 2 {
			t.Errorf("%q, %v; the handler ran %d times; %+v", out, err, ran.Load(), st)
		}
	})
}

// A session that ends before it has its connection, here since its subscriptions alone are more than its queue may hold,
// never counts as registered.
func TestSessionThatEndsBeforeItBegins(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		m := newMiddle(t)
		m.hub(own, hub.Options{})
		s, err := spoke.New(own, &spoke.Options{ID: "a", Dialer: m, LogBytes: 100, OnState: func(st spoke.State) {
			if st == spoke.Registered {
				t.Error("registered")
			}
		}})
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 20 {
			go func() { _, _ = s.Events().Listen(ctx, fmt.Sprint("topic-", i), func(pubsub.Event) {}) }() // ends with ctx
		}
		ran := make(chan error, 1)
		go func() { ran <- s.Run(ctx) }()
		later(time.Minute)
		if err := s.LastError(); err == nil || !strings.Contains(err.Error(), "register at") || s.Stats().Connections < 3 {
			t.Errorf("%v, %+v", err, s.Stats())
		}
		cancel()
		<-ran
	})
}

package spoke_test

import (
	"context"
	"errors"
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

// The hub restarts: the spoke's calls end with DISCONNECTED as soon as the new hub says so, a call that waits for a
// connection goes to the new hub, and subscriptions are made again.
func TestHubRestarted(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDoor(t, nil)
		s := d.spoke("a", nil, threeSeconds)
		var got []string
		stop, err := s.Events().Listen(t.Context(), "topic", func(ev pubsub.Event) {
			got = append(got, fmt.Sprint(string(ev.Payload), ev.Gap))
		})
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		down, up := inFlight(t, d, s)
		old := d.theHub()
		d.shut()
		d.cut()
		synctest.Wait()
		old.Close() // as when its process ends: nothing is told
		waits := make(chan error, 1)
		go func() { _, err := call.Invoke[any](t.Context(), s, "hub.info", nil); waits <- err }()
		wantError(t, <-down, call.CodeDisconnected, true)
		later(2 * time.Second)
		if len(up) != 0 {
			t.Errorf("the spoke's call has ended while the session may go on: %v", <-up)
		}
		d.open(nil)
		wantError(t, <-up, call.CodeDisconnected, true)
		if err := <-waits; err != nil {
			t.Error(err)
		}
		later(time.Second)
		if err := d.theHub().Events().Dispatch(t.Context(), pubsub.Event{Topic: "topic", Payload: []byte("1")}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if fmt.Sprint(got) != "[true 1false]" {
			t.Errorf("events %v", got)
		}
		if st := s.Stats(); st.Resumed != 0 || st.Connections != 2 {
			t.Errorf("%+v", st)
		}
	})
}

// A spoke with a waiting session is shut down: it waits for the connection to come back, finishes what is in flight,
// and leaves; or, if that takes too long, ends at once.
func TestShutdownOfAWaitingSession(t *testing.T) {
	for _, back := range []bool{true, false} {
		t.Run(fmt.Sprint("back ", back), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				d := newDoor(t, nil)
				h := d.theHub()
				s := d.spoke("a", nil, threeSeconds)
				down, up := inFlight(t, d, s)
				d.shut()
				d.cut()
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
				defer cancel()
				over := make(chan error, 1)
				go func() { over <- s.Shutdown(ctx) }()
				later(time.Second)
				if back {
					d.lead(h)
					if err := errors.Join(<-down, <-up, <-over); err != nil {
						t.Error(err)
					}
					later(time.Second)
					if st := h.Stats(); st.Spokes != 0 {
						t.Errorf("%d spokes: it has not said that it leaves", st.Spokes)
					}
					return
				}
				if err := <-over; !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("shutdown: %v", err)
				}
				wantError(t, <-up, call.CodeDisconnected, true)
				wantError(t, <-down, call.CodeDisconnected, true) // when the hub's window is over
			})
		})
	}
}

// The hub is shut down while a session with calls in flight waits: the spoke can resume within its window, and not later. A
// session without calls does not hold it up.
func TestHubShutdownWithAWaitingSession(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDoor(t, nil)
		h := d.theHub()
		s := d.spoke("a", nil, threeSeconds)
		down, _ := inFlight(t, d, s)
		d.shut()
		d.cut()
		synctest.Wait()
		if st := h.Stats(); st.Waiting != 1 {
			t.Errorf("%+v", st)
		}
		start := time.Now()
		if err := h.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		wantError(t, <-down, call.CodeDisconnected, true)
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// What a spoke publishes and subscribes while there is no connection arrives, once and in order; so does a change of its
// operations.
func TestWhatIsDoneWhileTheSessionWaits(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDoor(t, nil)
		h := d.theHub()
		s := d.spoke("a", nil, nil)
		var got []string
		stopHub, err := h.Events().Listen(t.Context(), "up", func(ev pubsub.Event) { got = append(got, string(ev.Payload)) })
		if err != nil {
			t.Fatal(err)
		}
		defer stopHub()
		for round := range 3 {
			d.shut()
			d.cut()
			synctest.Wait()
			for n := range 5 {
				if err := s.Events().Dispatch(t.Context(), pubsub.Event{Topic: "up", Payload: fmt.Append(nil, 10*round+n)}); err != nil {
					t.Error(err)
				}
			}
			name := fmt.Sprint("test.round", round)
			registered(call.Handle(s.Operations(), call.Operation{Name: name}, func(context.Context, int) (int, error) { return round, nil }))
			var heard atomic.Int64
			live := make(chan func(), 1)
			go func() {
				stop, err := s.Events().Listen(t.Context(), fmt.Sprint("down", round), func(pubsub.Event) { heard.Add(1) })
				if err != nil {
					t.Error(err)
				}
				live <- stop
			}()
			synctest.Wait()
			if len(live) != 0 {
				t.Error("live without a connection")
			}
			d.lead(h)
			stop := <-live
			if err := h.Events().Dispatch(t.Context(), pubsub.Event{Topic: fmt.Sprint("down", round), Payload: []byte("1")}); err != nil {
				t.Error(err)
			}
			out, err := call.Invoke[int](t.Context(), h, name, 0, call.WaitForSpoke())
			if err != nil || out != round || heard.Load() != 1 {
				t.Errorf("%d, %v, %d heard", out, err, heard.Load())
			}
			stop()
		}
		if want := "[0 1 2 3 4 10 11 12 13 14 20 21 22 23 24]"; fmt.Sprint(got) != want {
			t.Errorf("published %v", got)
		}
		if st := s.Stats(); st.Resumed != 3 {
			t.Errorf("%+v", st)
		}
	})
}

// A spoke without an id of its own keeps the hub's choice over a lost connection, although it may not ask for an
// id; on another hub it gets another.
func TestAssignedID(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		o := &hub.Options{Authorize: func(a hub.Action) error {
			if a.Verb == hub.Hold {
				return errors.New("no id of your choice")
			}
			return nil
		}}
		d := newDoor(t, o)
		s := d.spoke("", nil, nil)
		id := s.ID()
		registered(call.Handle(s.Operations(), call.Operation{Name: "test.later"}, func(context.Context, int) (int, error) { return 1, nil }))
		synctest.Wait()
		if _, err := call.Invoke[int](t.Context(), d.theHub(), "test.later", 0); err != nil {
			t.Error(err)
		}
		d.cut()
		later(time.Second)
		if st := s.Stats(); s.ID() != id || st.Resumed != 1 || st.State != "registered" {
			t.Errorf("%s, not %s; %+v", s.ID(), id, st)
		}
		old := d.theHub()
		d.shut()
		d.cut()
		old.Close()
		d.open(o)
		later(10 * time.Second)
		if st := s.Stats(); s.ID() == id || st.Connections != 3 || st.State != "registered" {
			t.Errorf("still %s; %+v", s.ID(), st)
		}
	})
}

// Sessions can be turned off on either side; a lost connection then ends the calls at once.
func TestSessionsTurnedOff(t *testing.T) {
	for _, off := range []struct {
		hub   hub.Options
		spoke spoke.Options
	}{{hub: hub.Options{SessionWindow: -1}}, {spoke: spoke.Options{NoSession: true}}} {
		bubble.Test(t, func(t *testing.T) {
			d := newDoor(t, &off.hub)
			s := d.spoke("a", &off.spoke, threeSeconds)
			down, up := inFlight(t, d, s)
			start := time.Now()
			d.cut()
			wantError(t, <-down, call.CodeDisconnected, true)
			wantError(t, <-up, call.CodeDisconnected, true)
			if time.Since(start) != 0 {
				t.Errorf("ended after %v", time.Since(start))
			}
			later(time.Second)
			if st := s.Stats(); st.Resumed != 0 || st.Connections != 2 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// A handler that ignores its context counts within MaxInFlight until it returns, also when its session has ended and another has begun.
func TestHandlersOfEndedSessionsCount(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDoor(t, nil)
		var running, most atomic.Int64
		free := make(chan struct{})
		s := d.spoke("a", &spoke.Options{MaxInFlight: 1, NoSession: true}, func(r *call.Registry) {
			if err := call.Handle(r, call.Operation{Name: "test.deaf"}, func(context.Context, int) (int, error) {
				most.Store(max(most.Load(), running.Add(1)))
				defer running.Add(-1)
				<-free
				return 1, nil
			}); err != nil {
				t.Error(err)
			}
		})
		first := make(chan error, 1)
		go func() { _, err := call.Invoke[int](t.Context(), d.theHub(), "test.deaf", 1); first <- err }()
		synctest.Wait()
		for range 3 {
			d.cut()
			later(10 * time.Second)
			if _, err := call.Invoke[int](t.Context(), d.theHub(), "test.deaf", 1); !errors.Is(err, call.CodeOverloaded) {
				t.Errorf("a call while the handler of an ended session runs: %v", err)
			}
		}
		wantError(t, <-first, call.CodeDisconnected, true)
		close(free)
		synctest.Wait()
		if _, err := call.Invoke[int](t.Context(), d.theHub(), "test.deaf", 1); err != nil || most.Load() != 1 || running.Load() != 0 {
			t.Errorf("%v; at most %d handlers, now %d; %+v", err, most.Load(), running.Load(), s.Stats())
		}
	})
}

// A handler whose spoke was replaced learns that from the cause of its context.
func TestReplacedSpokeSaysSo(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDoor(t, nil)
		cause := make(chan error, 1)
		d.spoke("a", nil, func(r *call.Registry) {
			if err := call.Handle(r, call.Operation{Name: "test.waits"}, func(ctx context.Context, _ int) (int, error) {
				<-ctx.Done()
				cause <- context.Cause(ctx)
				return 0, ctx.Err()
			}); err != nil {
				t.Error(err)
			}
		})
		ended := make(chan error, 1)
		go func() { _, err := call.Invoke[int](t.Context(), d.theHub(), "test.waits", 1); ended <- err }()
		synctest.Wait()
		d.spoke("a", nil, nil)
		for name, err := range map[string]error{"cause": <-cause, "caller": <-ended} {
			if !strings.Contains(fmt.Sprint(err), "replaced by another instance") {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

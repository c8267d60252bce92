package spoke_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// threeSeconds answers after a while.
func threeSeconds(r *call.Registry) {
	registered(call.Handle(r, call.Operation{Name: "test.slow"}, func(ctx context.Context, in int) (int, error) {
		select {
		case <-time.After(3 * time.Second):
			return in, nil
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}))
}

// inFlight makes a call each way, and gives their ends.
func inFlight(t *testing.T, d *door, s *spoke.Spoke) (down, up chan error) {
	h := d.theHub()
	if h.Operations().Operations() == nil {
		threeSeconds(h.Operations())
	}
	down, up = make(chan error, 1), make(chan error, 1)
	for c, out := range map[call.Caller]chan error{h: down, s: up} {
		go func() {
			opts := []call.Option{}
			if c == call.Caller(h) {
				opts = append(opts, call.To(s.ID()))
			}
			got, err := call.Invoke[int](t.Context(), c, "test.slow", 5, opts...)
			if err == nil && got != 5 {
				err = fmt.Errorf("got %d", got)
			}
			out <- err
		}()
	}
	synctest.Wait()
	return down, up
}

// Codes that keep the session, whichever side closes: the calls of both sides complete and a topic has no gap.
func TestCodesThatKeepTheSession(t *testing.T) {
	for _, c := range []struct {
		code transport.CloseCode
		hub  bool // it closes
	}{
		{transport.CloseTryAgainLater, true},
		{transport.CloseHeartbeatMissed, true},
		{transport.CloseCredentialsExpired, true},
		{transport.CloseSuperseded, true},
		{0, true},
		{0, false},
	} {
		t.Run(fmt.Sprint(c.code, c.hub), func(t *testing.T) {
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
				a, b := d.ends()
				end := b
				if !c.hub {
					end = a
				}
				if c.code == 0 {
					end.Abort()
				} else {
					end.Close(c.code, "")
				}
				if err := d.theHub().Events().Dispatch(t.Context(), pubsub.Event{Topic: "topic", Payload: []byte("1")}); err != nil {
					t.Error(err)
				}
				if err := errors.Join(<-down, <-up); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				if st := s.Stats(); st.Resumed != 1 || st.Connections != 2 {
					t.Errorf("%+v", st)
				}
				if fmt.Sprint(got) != "[1false]" {
					t.Errorf("events %v", got)
				}
			})
		})
	}
}

// Codes that end it: every call ends at once on both sides, as sent, and a topic tells its gap.
func TestCodesThatEndTheSession(t *testing.T) {
	for _, code := range []transport.CloseCode{
		transport.CloseServiceRestart, transport.CloseGoingAway, transport.CloseInvalidFrame, transport.CloseMessageTooBig,
		transport.CloseUnsupportedData, transport.CloseSlowConsumer, transport.CloseRateLimit, transport.CloseNotRegistered,
	} {
		t.Run(fmt.Sprint(int(code)), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				d := newDoor(t, nil)
				s := d.spoke("a", nil, threeSeconds)
				gaps := 0
				stop, err := s.Events().Listen(t.Context(), "topic", func(ev pubsub.Event) {
					if ev.Gap {
						gaps++
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				defer stop()
				down, up := inFlight(t, d, s)
				_, b := d.ends()
				start := time.Now()
				b.Close(code, "")
				wantError(t, <-down, call.CodeDisconnected, true)
				wantError(t, <-up, call.CodeDisconnected, true)
				if took := time.Since(start); took > time.Second {
					t.Errorf("they ended after %v", took)
				}
				later(time.Minute)
				synctest.Wait()
				if st := s.Stats(); st.Resumed != 0 || st.Connections != 2 || gaps != 1 {
					t.Errorf("%+v, %d gaps", st, gaps)
				}
			})
		})
	}
}

// The window is over, on both sides: what was in flight ends at once, truthfully, handlers' contexts end, and
// what never left goes out with the next session, within its context.
func TestWindowOver(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDoor(t, nil)
		s := d.spoke("a", nil, func(r *call.Registry) { threeSeconds(r); echo(r) })
		echo(d.theHub().Operations())
		h := d.theHub()
		start := time.Now()
		ended := make(chan error, 1)
		registered(call.Handle(s.Operations(), call.Operation{Name: "test.forever"}, func(ctx context.Context, _ int) (int, error) {
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return 0, ctx.Err()
		}))
		later(time.Second)
		down, up := make(chan error, 1), make(chan error, 1)
		go func() { _, err := call.Invoke[int](t.Context(), h, "test.forever", 1); down <- err }()
		go func() {
			_, err := call.Invoke[int](t.Context(), s, "test.forever", 1, call.To("a"), call.Timeout(-1))
			up <- err
		}()
		synctest.Wait()
		d.shut()
		d.cut()
		synctest.Wait()
		waits, short := make(chan error, 1), make(chan error, 1)
		go func() {
			out, err := call.Invoke[string](t.Context(), s, "test.echo", "x", call.Timeout(time.Minute))
			if err == nil && out != "x" {
				err = errors.New(out)
			}
			waits <- err
		}()
		go func() {
			_, err := call.Invoke[string](t.Context(), s, "test.echo", "x", call.Timeout(10*time.Second))
			short <- err
		}()
		wantError(t, <-short, call.CodeTimeout, false)
		wantError(t, <-down, call.CodeDisconnected, true)
		wantError(t, <-up, call.CodeDisconnected, true)
		if took := time.Since(start); took < 15*time.Second || took > 17*time.Second {
			t.Errorf("ended after %v", took)
		}
		if err := <-ended; err == nil {
			t.Error("the handler's context has not ended")
		}
		d.lead(h)
		if err := <-waits; err != nil {
			t.Error(err)
		}
		if st := s.Stats(); st.Resumed != 0 || st.Connections != 2 {
			t.Errorf("%+v", st)
		}
	})
}

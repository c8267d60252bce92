package spoke_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

func zone(z string) map[string]string { return map[string]string{"zone": z} }

// wantZone checks which of two zones finds the spoke.
func wantZone(t *testing.T, c call.Caller, here, notHere string) {
	t.Helper()
	if _, err := call.Invoke[string](t.Context(), c, "test.echo", "x", call.Select(zone(here))); err != nil {
		t.Errorf("zone %s: %v", here, err)
	}
	if _, err := call.Invoke[string](t.Context(), c, "test.echo", "x", call.Select(zone(notHere))); !errors.Is(err, call.CodeOperationNotFound) {
		t.Errorf("zone %s: %v", notHere, err)
	}
}

// The hub selects by new labels when SetLabels returns, and after every reconnect; the map stays the caller's.
func TestSetLabels(t *testing.T) {
	for name, noSession := range map[string]bool{"session": false, "no session": true} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				n := hubtest.New(t, nil)
				s := n.Spoke("a", &spoke.Options{Labels: zone("1"), NoSession: noSession}, echo)
				wantZone(t, n.Hub, "1", "2")
				labels := zone("2")
				must(t, s.SetLabels(t.Context(), labels))
				labels["zone"] = "3"
				wantZone(t, n.Hub, "2", "1")
				must(t, s.Reconnect(t.Context()))
				wantZone(t, n.Hub, "2", "3")
				must(t, call.Handle(s.Operations(), call.Operation{Name: "test.more"}, answerID))
				synctest.Wait()
				wantZone(t, n.Hub, "2", "3")
				must(t, s.SetLabels(t.Context(), nil))
				if _, err := call.Invoke[string](t.Context(), n.Hub, "test.echo", "x", call.Select(zone("2"))); !errors.Is(err, call.CodeOperationNotFound) {
					t.Error(err)
				}
				if st := s.Stats(); st.Connections != 2 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// While the spoke is not registered, SetLabels waits for the next registration, which announces the labels also if its
// context has ended.
func TestSetLabelsWaits(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := hubtest.New(t, nil)
		wire := n.Dialer(nil)
		wire.Refuse(errors.New("no route"))
		s := n.Start("a", &spoke.Options{Labels: zone("1"), Dialer: wire}, echo)
		later(time.Second)
		set := func(z string, limit time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			return s.SetLabels(ctx, zone(z))
		}
		if err := set("2", time.Second); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no route") {
			t.Error(err)
		}
		wire.Refuse(nil)
		must(t, s.Ready(t.Context()))
		wantZone(t, n.Hub, "2", "1")

		wire.Refuse(errors.New("no route"))
		wire.Cut()
		later(time.Second)
		done := make(chan error, 1)
		go func() { done <- set("3", time.Hour) }()
		later(time.Second)
		select {
		case err := <-done:
			t.Errorf("SetLabels returned while the session is detached: %v", err)
		default:
		}
		wire.Refuse(nil)
		must(t, <-done)
		if st := s.Stats(); st.Resumed != 1 {
			t.Errorf("%+v", st)
		}
		wantZone(t, n.Hub, "3", "2")

		left := make(chan error, 1)
		go func() { left <- s.Shutdown(t.Context()) }()
		synctest.Wait()
		if err := set("4", time.Hour); !errors.Is(err, spoke.ErrStopped) {
			t.Errorf("after Shutdown: %v", err)
		}
		must(t, <-left)
	})
}

// Labels that the hub would not take change nothing. Larger labels leave less room for operations, and the reverse.
func TestSetLabelsWithinTheLimits(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := hubtest.New(t, &hub.Options{MaxRegistrationBytes: 4 << 10})
		s := n.Spoke("a", &spoke.Options{Labels: zone("1")}, echo)
		for name, labels := range map[string]map[string]string{
			"key": {"\xe9": "x"}, "value": {"x": "\xe9"}, "large": {"x": strings.Repeat("x", 4<<10)},
		} {
			if err := s.SetLabels(t.Context(), labels); !errors.Is(err, spoke.ErrOptions) || name == "large" && !strings.Contains(err.Error(), "hub.Options.MaxRegistrationBytes") {
				t.Errorf("%s: %v", name, err)
			}
		}
		wantZone(t, n.Hub, "1", "2")
		size := 0
		for ; size < 4<<10; size += 10 {
			if err := s.SetLabels(t.Context(), map[string]string{"zone": strings.Repeat("x", size)}); err != nil {
				if !errors.Is(err, spoke.ErrOptions) {
					t.Error(err)
				}
				break
			}
		}
		if size < 3000 || size > 4000 {
			t.Errorf("labels of %d bytes are refused", size)
		}
		more := call.Operation{Name: "test.more", Description: strings.Repeat("d", 100)}
		if err := call.Handle(s.Operations(), more, answerID); !errors.Is(err, call.ErrRegistryFull) {
			t.Errorf("an operation beside large labels: %v", err)
		}
		must(t, s.SetLabels(t.Context(), zone("2")))
		must(t, call.Handle(s.Operations(), more, answerID))
		must(t, s.Reconnect(t.Context()))
		wantZone(t, n.Hub, "2", "1")
		if _, err := call.Invoke[string](t.Context(), n.Hub, "test.more", nil); err != nil {
			t.Error(err)
		}
	})
}

// A hub that refuses changed labels keeps the earlier ones, and so does the spoke. What it refuses is clear: labels and
// operations that change together are announced one after the other.
func TestSetLabelsRefused(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var refuse atomic.Bool
		n := hubtest.New(t, &hub.Options{Authorize: func(a hub.Action) error {
			if a.Verb == hub.Hold && refuse.Load() || a.Name == "secret.op" {
				return errors.New("not now")
			}
			return nil
		}})
		s := n.Spoke("a", &spoke.Options{Labels: zone("1")}, echo)
		refuse.Store(true)
		if err := s.SetLabels(t.Context(), zone("2")); !errors.Is(err, call.CodeAccessDenied) {
			t.Error(err)
		}
		wantZone(t, n.Hub, "1", "2")
		refuse.Store(false)
		must(t, s.Reconnect(t.Context()))
		wantZone(t, n.Hub, "1", "2")
		must(t, call.Handle(s.Operations(), call.Operation{Name: "secret.op"}, answerID))
		must(t, s.SetLabels(t.Context(), zone("3")))
		wantZone(t, n.Hub, "3", "1")
		synctest.Wait()
		must(t, s.Reconnect(t.Context()))
		wantZone(t, n.Hub, "3", "1")
		s.Operations().Remove("secret.op")
		refuse.Store(true)
		must(t, call.Handle(s.Operations(), call.Operation{Name: "test.more"}, answerID))
		go func() { later(time.Second); refuse.Store(false) }()
		if err := s.SetLabels(t.Context(), zone("4")); !errors.Is(err, call.CodeAccessDenied) {
			t.Error(err)
		}
		later(2 * time.Second)
		must(t, call.Handle(s.Operations(), call.Operation{Name: "test.last"}, answerID))
		synctest.Wait()
		for _, operation := range []string{"test.more", "test.last"} {
			if _, err := call.Invoke[string](t.Context(), n.Hub, operation, nil, call.Select(zone("3"))); err != nil {
				t.Error(err)
			}
		}
	})
}

// Of concurrent calls the last one counts, and each returns when a hub has taken its labels or later ones.
func TestSetLabelsConcurrently(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := hubtest.New(t, nil)
		wire := n.Dialer(nil)
		wire.Delay(10 * time.Millisecond)
		s := n.Spoke("a", &spoke.Options{Labels: zone("1"), Dialer: wire}, echo)
		var calls sync.WaitGroup
		for i := range 50 {
			calls.Go(func() {
				later(time.Duration(i) * time.Millisecond)
				if err := s.SetLabels(t.Context(), zone(fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
			})
			if i%10 == 9 {
				calls.Go(func() { later(time.Duration(i) * time.Millisecond); wire.Cut() })
			}
		}
		calls.Wait()
		must(t, s.SetLabels(t.Context(), zone("last")))
		wantZone(t, n.Hub, "last", "49")
	})
}

// Operations come and go while labels change.
func TestLabelsAndOperationsTogether(t *testing.T) {
	n := hubtest.New(t, nil)
	s := n.Spoke("a", &spoke.Options{Labels: zone("1")}, echo)
	var changes sync.WaitGroup
	for k := range 4 {
		changes.Go(func() {
			for i := range 500 {
				op := call.Operation{Name: fmt.Sprint("test.op", k)}
				if err := call.Handle(s.Operations(), op, answerID); err != nil {
					t.Error(err)
				}
				if i < 499 {
					s.Operations().Remove(op.Name)
				}
			}
		})
	}
	changes.Go(func() {
		for i := range 100 {
			if err := s.SetLabels(t.Context(), zone(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		}
	})
	changes.Wait()
	must(t, s.SetLabels(t.Context(), zone("last")))
	wantZone(t, n.Hub, "last", "99")
	for k := range 4 {
		if _, err := call.Invoke[string](t.Context(), n.Hub, fmt.Sprint("test.op", k), nil, call.WaitForSpoke()); err != nil {
			t.Error(err)
		}
	}
}

// nextRegistration reads the next registration on a live connection, and returns its id.
func nextRegistration(t *testing.T, conn transport.Conn, labels string) (id string) {
	t.Helper()
	for {
		frame, err := conn.Read()
		must(t, err)
		_, rest, _ := strings.Cut(string(frame), `"requestId":"`)
		if !strings.Contains(rest, "hub.register") {
			continue
		}
		if !strings.Contains(rest, labels) {
			t.Errorf("registered %s, want %s", rest, labels)
		}
		id, _, _ = strings.Cut(rest, `"`)
		return id
	}
}

func answerRegistration(t *testing.T, conn transport.Conn, id, answer string) {
	t.Helper()
	must(t, conn.Write([][]byte{fmt.Appendf(nil, `{"type":"call.%s","payload":{"requestId":"%s",%s}}`,
		map[bool]string{true: "error", false: "responded"}[strings.Contains(answer, "code")], id, answer)}))
}

// A hub that is too busy for changed labels gets them again after a second. It has not refused them, and the log does not say so.
func TestSetLabelsAtABusyHub(t *testing.T) {
	var log strings.Builder
	logger := zerolog.New(zerolog.SyncWriter(&log)).Level(zerolog.WarnLevel)
	bubble.Test(t, func(t *testing.T) {
		s, conn := runAtSilent(t, spoke.Options{Labels: zone("1"), Logger: &logger})
		done := make(chan error, 1)
		go func() { done <- s.SetLabels(t.Context(), zone("2")) }()
		start := time.Now()
		for _, answer := range []string{`"code":"OVERLOADED","message":"busy","retryable":true`, `"code":"TIMEOUT","message":"late"`, `"output":{}`} {
			answerRegistration(t, conn, nextRegistration(t, conn, `"labels":{"zone":"2"}`), answer)
		}
		must(t, <-done)
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("announced after %v", took)
		}
	})
	if got := log.String(); strings.Count(got, `"level":"warn"`) != 2 || strings.Count(got, `"message":"registration postponed"`) != 2 || strings.Contains(got, `"level":"error"`) {
		t.Errorf("logged:\n%s", got)
	}
}

// The registration with the largest labels leaves exactly the room that later ones may need for their session.
func TestSetLabelsToTheLimit(t *testing.T) {
	const limit, room = 1000, 512
	bubble.Test(t, func(t *testing.T) {
		h := make(rawHub, 1)
		s, err := spoke.New("ws://raw.test/", &spoke.Options{ID: "a", Dialer: h})
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- s.Run(ctx) }()
		conn := h.answer(t, fmt.Sprintf(`"maxRegistrationBytes":%d,"heartbeatInterval":25000`, limit))
		size := 0
		for n := range limit {
			done := make(chan error, 1)
			go func() { done <- s.SetLabels(ctx, zone(strings.Repeat("x", n))) }()
			synctest.Wait()
			select {
			case err = <-done:
			default:
				frame, rerr := conn.Read()
				must(t, rerr)
				_, id, _ := strings.Cut(string(frame), `"requestId":"`)
				id, _, _ = strings.Cut(id, `"`)
				_, input, _ := strings.Cut(string(frame), `"input":`)
				size = len(input) - len("}}")
				answerRegistration(t, conn, id, `"output":{}`)
				must(t, <-done)
			}
			if err != nil {
				break
			}
		}
		if !errors.Is(err, spoke.ErrOptions) || size != limit-room {
			t.Errorf("%v after a registration of %d bytes", err, size)
		}
		cancel()
		conn.Abort()
		<-ran
	})
}

// Labels that are set while the hub refuses earlier ones are not lost.
func TestSetLabelsWhileOthersAreRefused(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, conn := runAtSilent(t, spoke.Options{Labels: zone("1")})
		refused, taken := make(chan error, 1), make(chan error, 1)
		go func() { refused <- s.SetLabels(t.Context(), zone("2")) }()
		id := nextRegistration(t, conn, `"labels":{"zone":"2"}`)
		go func() { taken <- s.SetLabels(t.Context(), zone("3")) }()
		synctest.Wait()
		answerRegistration(t, conn, id, `"code":"ACCESS_DENIED","message":"no"`)
		id = nextRegistration(t, conn, `"labels":{"zone":"3"}`)
		if err := <-refused; !errors.Is(err, call.CodeAccessDenied) {
			t.Error(err)
		}
		answerRegistration(t, conn, id, `"output":{}`)
		must(t, <-taken)
		registered(call.Handle(s.Operations(), call.Operation{Name: "a.b"}, answerID))
		nextRegistration(t, conn, `"labels":{"zone":"3"}`)
	})
}

// Every state is reported once, whatever else changes.
func TestStatesAreNotRepeated(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := hubtest.New(t, nil)
		s := n.Spoke("a", nil, nil)
		var states []spoke.State
		done := make(chan struct{})
		go func() {
			defer close(done)
			for st := range s.States(t.Context()) {
				states = append(states, st)
			}
		}()
		for i := range 5 {
			must(t, s.SetLabels(t.Context(), zone(fmt.Sprint(i))))
			synctest.Wait()
		}
		must(t, s.Shutdown(t.Context()))
		<-done
		if len(states) > 3 || states[0] != spoke.Registered || states[len(states)-1] != spoke.Stopped {
			t.Errorf("%v", states)
		}
	})
}

// If a hub refuses the spoke for good, SetLabels returns why.
func TestSetLabelsOfASpokeThatStops(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := hubtest.New(t, nil)
		wire := n.Dialer(nil)
		wire.Refuse(errors.New("no route"))
		s := n.Start("a", &spoke.Options{Dialer: wire}, nil)
		later(time.Second)
		done := make(chan error, 1)
		go func() { done <- s.SetLabels(t.Context(), zone("1")) }()
		synctest.Wait()
		wire.Refuse(&transport.HandshakeError{Status: 403, Refused: transport.RefusedForbidden})
		err := <-done
		if he, ok := errors.AsType[*transport.HandshakeError](err); !ok || he.Status != 403 || !errors.Is(err, spoke.ErrStopped) {
			t.Error(err)
		}
	})
}

// lateReader is the context of a goroutine that waits and does not run until the gate opens.
type lateReader struct {
	context.Context
	gate <-chan struct{}
}

func (l lateReader) Done() <-chan struct{} {
	<-l.gate
	return l.Context.Done()
}

// A call of SetLabels that finds its answer late, when the hub has answered a later call too, reports what became of its own
// labels: it fails if neither they nor later ones were taken.
func TestSetLabelsLateReader(t *testing.T) {
	for name, c := range map[string]struct{ firstRefused, secondRefused, fails bool }{
		"taken, taken":     {false, false, false},
		"taken, refused":   {false, true, false},
		"refused, taken":   {true, false, false},
		"refused, refused": {true, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				var refuse atomic.Bool
				n := hubtest.New(t, &hub.Options{Authorize: func(a hub.Action) error {
					if a.Verb == hub.Hold && refuse.Load() {
						return errors.New("not now")
					}
					return nil
				}})
				s := n.Spoke("a", nil, echo)
				gate, first := make(chan struct{}), make(chan error, 1)
				refuse.Store(c.firstRefused)
				go func() { first <- s.SetLabels(lateReader{t.Context(), gate}, zone("1")) }()
				synctest.Wait()
				refuse.Store(c.secondRefused)
				if err := s.SetLabels(t.Context(), zone("2")); errors.Is(err, call.CodeAccessDenied) != c.secondRefused {
					t.Error(err)
				}
				close(gate)
				if err := <-first; errors.Is(err, call.CodeAccessDenied) != c.fails || (err != nil) != c.fails {
					t.Error(err)
				}
			})
		})
	}
}

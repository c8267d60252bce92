package peer

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/transport"
)

func TestCancelAfterTheFrameWasWritten(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		a, b := join(t, config{}, serving(func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
			err := until(ctx, req, send)
			ended <- err
			after(time.Minute) // slow to clean up
			return err
		}))
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { after(time.Second); cancel(errors.New("changed my mind")) }()
		start := time.Now()
		_, err := a.Call(ctx, unary("x.y", ""))
		e := wantError(t, err, call.CodeAborted, true)
		if time.Since(start) != time.Second || !errors.Is(e, context.Canceled) {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if err := <-ended; !errors.Is(err, call.CodeAborted) || !errors.Is(err, context.Canceled) {
			t.Errorf("the handler's cause: %v", err)
		}
		if n, _ := a.InFlight(); n != 1 || b.Serving() != 1 {
			t.Error("the slot is free while the handler is at work")
		}
		after(2 * time.Minute)
		synctest.Wait()
		if n, _ := a.InFlight(); n != 0 || b.Serving() != 0 {
			t.Error("the slot is not free after it")
		}
		if late := a.cfg.Counters.Late.Load(); late != 1 {
			t.Errorf("%d late, want the terminal frame", late)
		}
	})
}

// stalled gives a peer whose connection takes nothing more.
func stalled(t *testing.T, o session.Options) *side {
	t.Helper()
	x, y := transport.Pipe(&transport.PipeOptions{BufferBytes: 1})
	t.Cleanup(y.Abort)
	s := newSide(t, x, config{}, o)
	if err := s.PostBare(wire.Pong); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return s
}

// What has not left is taken back, and the handler cannot have run.
func TestCancelBeforeTheFrameWasWritten(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := stalled(t, session.Options{})
		queued := s.Session().QueuedBytes()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.Call(ctx, unary("x.y", ""))
		wantError(t, err, call.CodeTimeout, false)
		req := unary("x.y", "")
		req.Timeout = time.Second
		_, err = s.Call(t.Context(), req)
		wantError(t, err, call.CodeTimeout, false)
		ctx, cancel = context.WithCancel(t.Context())
		go func() { after(time.Second); cancel() }()
		_, err = s.Call(ctx, unary("x.y", ""))
		wantError(t, err, call.CodeAborted, false)
		if n, _ := s.InFlight(); n != 0 || s.Session().QueuedBytes() != queued {
			t.Errorf("%d in flight, %d bytes queued, %d before", n, s.Session().QueuedBytes(), queued)
		}
		_, err = s.Call(ctx, unary("x.y", "")) // ended before the call
		wantError(t, err, call.CodeAborted, false)
	})
}

func TestCallWaitsForRoom(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := stalled(t, session.Options{LimitBytes: 1})
		req := unary("x.y", "")
		req.Timeout = time.Second
		_, err := s.Call(t.Context(), req)
		wantError(t, err, call.CodeTimeout, false)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { after(time.Second); cancel() }()
		_, err = s.Call(ctx, unary("x.y", ""))
		wantError(t, err, call.CodeAborted, false)
		go func() { after(time.Second); s.End(errors.New("gone")) }()
		_, err = s.Call(t.Context(), unary("x.y", ""))
		wantError(t, err, call.CodeDisconnected, false)
		if n, _ := s.InFlight(); n != 0 {
			t.Errorf("%d in flight", n)
		}
	})
}

// A context whose deadline has passed, or is now, and whose timer has not fired: that is a time-out, no cancellation, and
// no call without a limit.
func TestDeadlinePassedBeforeItsTimer(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, _ := join(t, config{}, config{})
		for _, late := range []time.Duration{0, 1} {
			_, err := a.Call(lateContext{t.Context(), late}, unary("x.y", ""))
			wantError(t, err, call.CodeTimeout, false)
		}
	})
}

type lateContext struct {
	context.Context
	late time.Duration
}

func (c lateContext) Deadline() (time.Time, bool) { return time.Now().Add(-c.late), true }

func TestEndWithCallsInFlight(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		causes := make(chan error, 1)
		a, b := join(t, config{}, serving(func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
			err := until(ctx, req, send)
			causes <- err
			return err
		}))
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := a.Call(t.Context(), unary("x.y", ""))
			if e := wantError(t, err, call.CodeDisconnected, true); !e.Retryable {
				t.Error("not retryable")
			}
		})
		synctest.Wait()
		a.conn.Abort()
		wg.Wait()
		if err := <-causes; !errors.Is(err, call.CodeAborted) {
			t.Errorf("the handler's cause: %v", err)
		}
		<-a.Done()
		<-b.Done()
		_, err := a.Call(t.Context(), unary("x.y", ""))
		wantError(t, err, call.CodeDisconnected, false)
		if err := a.Idle(t.Context()); err == nil {
			t.Error("an ended peer is idle")
		}
	})
}

// What the flusher had not taken when the session ended was not sent.
func TestEndIsTruthful(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := stalled(t, session.Options{})
		errs := make(chan error, 1)
		go func() { _, err := s.Call(t.Context(), unary("x.y", "")); errs <- err }()
		synctest.Wait()
		s.End(nil)
		wantError(t, <-errs, call.CodeDisconnected, false)
	})
}

func TestIdleWaits(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := join(t, config{}, serving(func(_ context.Context, _ *call.Request, _ func(call.Envelope) error) error {
			after(time.Minute)
			return nil
		}))
		go a.Call(t.Context(), unary("x.y", ""))
		synctest.Wait()
		for _, p := range []*side{a, b} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := p.Idle(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("idle with a call: %v", err)
			}
			cancel()
		}
		start := time.Now()
		if err := b.Idle(t.Context()); err != nil || time.Since(start) != 58*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if err := a.Idle(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A call that is left while its caller still waits for an answer ends there too.
func TestAbortEndsTheWait(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		for _, ask := range []*call.Request{unary("x.y", ""), stream("x.s", "")} {
			s, w := wired(t, config{})
			o := open(t, s, ask, 0)
			rid := id(t, w.want("call.requested", ""))
			ended := make(chan error, 1)
			go func() { _, err := o.Next(t.Context()); ended <- err }()
			synctest.Wait()
			if !o.Abort("enough") {
				t.Error("the frame was written, so the handler can have run")
			}
			w.want("call.aborted", rid)
			wantError(t, <-ended, call.CodeAborted, true)
		}
	})
}

package session

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/internal/bubble"
)

// After the end Written reports exactly what the flusher had taken.
func TestWrittenAfterTheEnd(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c, release := stuck(t, Options{})
		release()
		synctest.Wait()
		release = c.hold()
		p := mustSend(t, s, "being written")
		synctest.Wait()
		q := mustSend(t, s, "waiting")
		r := mustSend(t, s, "withdrawn")
		s.Withdraw(r)
		s.End(errWrite)
		if !s.Written(0) || !s.Written(p) {
			t.Error("what was taken is said not to be")
		}
		if s.Written(q) || s.Written(r) || s.Withdraw(q) {
			t.Error("what was never taken is said to be")
		}
		release()
		s.Wait()
		if !s.Written(p) || s.Written(q) {
			t.Error("the truth changed")
		}
		c.want(t, "first", "being written")
	})
}

func TestEnd(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := New(Options{})
		select {
		case <-s.Done():
			t.Error("done from the start")
		default:
		}
		if s.Cause() != nil {
			t.Error("a cause without an end")
		}
		mustSend(t, s, "x")
		flushed := make(chan error, 1)
		go func() { flushed <- s.Flush(t.Context()) }()
		synctest.Wait()
		s.End(nil)
		s.End(errWrite) // only the first counts
		<-s.Done()
		for name, err := range map[string]error{"Cause": s.Cause(), "Flush": <-flushed, "AppendControl": s.AppendControl(Control, frame("x")), "Flush after": s.Flush(t.Context())} {
			if !errors.Is(err, ErrEnded) {
				t.Errorf("%s: %v", name, err)
			}
		}
		appendEvent(s, "t", frame("x"))
		if n, sending := s.Sent(); n != 0 || sending || s.QueuedBytes() != 0 {
			t.Errorf("%d sent, sending %v, %d bytes in the queue", n, sending, s.QueuedBytes())
		}
		s.Wait()
	})
}

// An idle session holds neither frames nor a large queue, however much went through.
func TestIdleHoldsNothing(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, _, release := stuck(t, Options{})
		for range 5000 {
			mustSend(t, s, "x")
		}
		release()
		synctest.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		if cap(s.queue.entries) > keepEntries || s.queue.bytes != 0 || s.writer != idle || s.waiting != nil || s.gaps.dropped != nil || s.gaps.topics != nil {
			t.Errorf("an idle session holds %d entries and %d bytes", cap(s.queue.entries), s.queue.bytes)
		}
	})
}

func TestControlEndsASlowSession(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		slow := 0
		var s *Session
		release := func() {}
		o := Options{LimitBytes: 100, Owner: &owner{slow: func() {
			slow++
			if !errors.Is(s.Cause(), ErrSlow) { // may call the session, which has ended
				t.Errorf("cause %v", s.Cause())
			}
			release()
		}}}
		s, _, release = stuck(t, o)
		n := 0
		for n = 0; n < 1000; n++ {
			if err := s.AppendControl(Control, frame("ten bytes.")); err != nil {
				if !errors.Is(err, ErrSlow) {
					t.Errorf("Post: %v", err)
				}
				break
			}
		}
		if n < 19 || n > 21 { // twice the limit in bytes
			t.Errorf("ended after %d frames", n)
		}
		if err := s.AppendControl(Control, frame("x")); !errors.Is(err, ErrSlow) {
			t.Errorf("Post after it: %v", err)
		}
		s.Wait()
		if slow != 1 {
			t.Errorf("Slow called %d times", slow)
		}
	})
}

// Events have a budget of their own: they do not make control frames end a session.
func TestEventsDoNotCountAgainstControl(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, _, _ := stuck(t, Options{LimitBytes: 100, EventBytes: 1000})
		appendEvent(s, "t", frame(strings.Repeat("e", 900)))
		if err := s.AppendControl(Control, frame("terminal")); err != nil {
			t.Error(err)
		}
	})
}

// Wait returns after Owner.Slow, also if another goroutine ends the session at the same time.
func TestWaitJoinsSlow(t *testing.T) {
	for range 50 {
		done := false
		s := New(Options{LimitBytes: 1, Owner: &owner{slow: func() { done = true }}})
		go func() {
			for s.AppendControl(Control, Shared([]byte("xx"))) == nil {
				continue
			}
		}()
		s.Wait()
		if !done {
			t.Fatal("Wait returned before Owner.Slow did")
		}
	}
}

// Everything that is done with a session after its end fails with its cause, and changes nothing that is counted.
func TestAfterTheEnd(t *testing.T) {
	for _, resumable := range []bool{false, true} {
		bubble.Test(t, func(t *testing.T) {
			s, c := attached(t, Options{Resumable: resumable})
			mustSend(t, s, "x")
			synctest.Wait()
			s.Detach(c)
			s.End(errWrite)
			before, _ := s.Sent()
			_, sent := s.Append(t.Context(), Response, frame("send"), time.Second, nil)
			_, request := s.Append(t.Context(), Request, frame("request"), time.Second, nil)
			for name, err := range map[string]error{
				"Attach": s.Attach(&fakeConn{}), "Resume": s.Resume(&fakeConn{}, 1), "Resume, behind": s.Resume(&fakeConn{}, 0), "Resume, ahead": s.Resume(&fakeConn{}, 99),
				"Append": sent, "Request": request, "AppendControl": s.AppendControl(Control, frame("post")), "AppendControl, uncounted": s.AppendControl(Uncounted, frame("post")), "Flush": s.Flush(t.Context()),
			} {
				if !errors.Is(err, errWrite) {
					t.Errorf("resumable %v: %s fails with %v", resumable, name, err)
				}
			}
			appendEvent(s, "t", frame("event"))
			if _, ok, _ := s.TryAppend(Response, frame("now"), nil); ok {
				t.Errorf("resumable %v: TryAppend took a frame", resumable)
			}
			if _, ok, due := s.TryAppend(Request, frame("try"), nil); ok || due {
				t.Errorf("resumable %v: TryAppend took a frame", resumable)
			}
			s.Detach(c)
			s.AckOverdue(time.Now().Add(time.Hour))
			synctest.Wait()
			if got, sending := s.Sent(); got != before || sending || s.QueuedBytes() != 0 || s.opts.Totals.EventsDropped.Load() != 0 || s.Attached() {
				t.Errorf("resumable %v: %d sent, %d before; %d bytes, attached %v", resumable, got, before, s.QueuedBytes(), s.Attached())
			}
		})
	}
}

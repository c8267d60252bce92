package session

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/alkdev/hubspoke/internal/bubble"
)

// Beyond the budget events are dropped, and a gap is reported in their place.
func TestGapInPlace(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c, release := stuck(t, Options{EventBytes: 20})
		mustSend(t, s, "call")
		appendEvent(s, "a", frame("a1 eight")) // 8
		appendEvent(s, "b", frame("b1 eight")) // 16
		appendEvent(s, "a", frame("a2 dropped"))
		appendEvent(s, "a", frame("a3 dropped"))
		appendEvent(s, "b", frame("b2")) // fits, and b has no gap
		appendEvent(s, "a", frame("a4")) // fits: the gap comes first
		appendEvent(s, "a", frame("a5 dropped"))
		if n := s.opts.Totals.EventsDropped.Load(); n != 3 {
			t.Errorf("%d dropped", n)
		}
		release()
		synctest.Wait()
		c.want(t, "first", "call", "a1 eight", "b1 eight", "b2", "gap a 2", "a4", "gap a 1")
		appendEvent(s, "a", frame("a6"))
		synctest.Wait()
		if got := c.written(); got[len(got)-1] != "a6" {
			t.Errorf("%q", got)
		}
	})
}

// A gap is reported even if no event comes after it.
func TestGapWithoutALaterEvent(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c, release := stuck(t, Options{EventBytes: 10})
		appendEvent(s, "a", frame("ten bytes."))
		for _, topic := range []string{"b", "a", "b", "c"} {
			appendEvent(s, topic, frame("dropped"))
		}
		release()
		synctest.Wait()
		c.want(t, "first", "ten bytes.", "gap b 2", "gap a 1", "gap c 1")
	})
}

// An event that the other side does not take leaves a gap in its place. However many there are, a reader that is
// stuck does not make the queue grow.
func TestLostEventLeavesAGap(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c, release := stuck(t, Options{})
		appendEvent(s, "a", frame("a1"))
		before := s.QueuedBytes()
		for range 1000 {
			appendEvent(s, "a", nil)
			appendEvent(s, "b", nil)
		}
		if n, dropped := s.QueuedBytes(), s.opts.Totals.EventsDropped.Load(); n != before || dropped != 2000 {
			t.Errorf("%d bytes, %d before; %d dropped", n, before, dropped)
		}
		appendEvent(s, "a", frame("a2"))
		release()
		synctest.Wait()
		c.want(t, "first", "a1", "gap a 1000", "a2", "gap b 1000")
		appendEvent(s, "a", nil) // nothing waits: the gap goes out alone
		synctest.Wait()
		if got := c.written(); got[len(got)-1] != "gap a 1" {
			t.Errorf("%q", got)
		}
		s.End(nil)
		appendEvent(s, "a", nil)
	})
}

func TestEventBudgetIsFreedByWriting(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c := attached(t, Options{EventBytes: 10})
		for range 50 {
			appendEvent(s, "a", frame("ten bytes."))
			synctest.Wait()
		}
		if n := s.opts.Totals.EventsDropped.Load(); n != 0 || len(c.written()) != 50 {
			t.Errorf("%d dropped, %d written", n, len(c.written()))
		}
	})
}

func TestEndOnSlowEvents(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		slow := 0
		s, _, release := stuck(t, Options{EventBytes: 10, EndOnSlowEvents: true, Owner: &owner{slow: func() { slow++ }}})
		appendEvent(s, "a", frame("ten bytes."))
		if s.Cause() != nil {
			t.Error("ended within the budget")
		}
		appendEvent(s, "a", frame("x"))
		appendEvent(s, "a", frame("x"))
		if !errors.Is(s.Cause(), ErrSlow) {
			t.Errorf("cause %v", s.Cause())
		}
		release()
		s.Wait()
		if slow != 1 {
			t.Errorf("Slow called %d times", slow)
		}
	})
}

// An event that the other side does not take is no sign of a slow reader: the next event does not end the session.
func TestLostEventIsNotSlow(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c, release := stuck(t, Options{EndOnSlowEvents: true})
		appendEvent(s, "a", nil)
		appendEvent(s, "b", frame("b1"))
		appendEvent(s, "a", frame("a1"))
		release()
		synctest.Wait()
		if s.Cause() != nil {
			t.Fatalf("the session ended: %v", s.Cause())
		}
		c.want(t, "first", "b1", "gap a 1", "a1")
	})
}

// A slow reader that is always near its budget does not make the session remember ever more.
func TestGapsAreBounded(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c, release := stuck(t, Options{EventBytes: 4 * batchBytes})
		event := strings.Repeat("e", 1<<10)
		for range 50 {
			for range 5 * batchBytes >> 10 { // more than fits, so that one write does not halve what waits
				appendEvent(s, "a", Shared([]byte(event)))
			}
			next := c.hold()
			release()
			release = next
			synctest.Wait()
			s.mu.Lock()
			n := len(s.gaps.topics)
			s.mu.Unlock()
			if n > 1 {
				t.Fatalf("one topic is remembered %d times", n)
			}
		}
		release()
	})
}

// Events may be dropped because what was written is not acknowledged: then there may
// be nothing left to write, and the gap is reported with the acknowledgement.
func TestGapWithTheAcknowledgement(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c := attached(t, Options{LimitBytes: 100, EventBytes: 100, Resumable: true})
		event := strings.Repeat("e", 90)
		n := 0
		for s.opts.Totals.EventsDropped.Load() == 0 {
			n++
			appendEvent(s, "a", frame(event))
			synctest.Wait()
		}
		if got := c.written(); len(got) != n-1 || got[len(got)-1] != event {
			t.Fatalf("%d written of %d", len(got), n)
		}
		if err := s.Ack(uint64(n - 1)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := c.written(); got[len(got)-1] != "gap a 1" {
			t.Errorf("the last is %q", got[len(got)-1])
		}
	})
}

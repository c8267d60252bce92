package session

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/alkdev/hubspoke/internal/bubble"
)

// Beyond the budget events are dropped, and the gap is told where they would have been.
func TestGapIsToldInPlace(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c, release := stuck(t, Options{EventBytes: 20})
		mustSend(t, s, "call")
		s.PostEvent("a", frame("a1 eight")) // 8
		s.PostEvent("b", frame("b1 eight")) // 16
		s.PostEvent("a", frame("a2 dropped"))
		s.PostEvent("a", frame("a3 dropped"))
		s.PostEvent("b", frame("b2")) // fits, and b has no gap
		s.PostEvent("a", frame("a4")) // fits: the gap comes first
		s.PostEvent("a", frame("a5 dropped"))
		if st := s.Stats(); st.EventsDropped != 3 {
			t.Errorf("%d dropped", st.EventsDropped)
		}
		release()
		synctest.Wait()
		c.want(t, "first", "call", "a1 eight", "b1 eight", "b2", "gap a 2", "a4", "gap a 1")
		s.PostEvent("a", frame("a6"))
		synctest.Wait()
		if got := c.written(); got[len(got)-1] != "a6" {
			t.Errorf("%q", got)
		}
	})
}

// A gap is told also where no event comes after it.
func TestGapIsToldWithoutALaterEvent(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c, release := stuck(t, Options{EventBytes: 10})
		s.PostEvent("a", frame("ten bytes."))
		for _, topic := range []string{"b", "a", "b", "c"} {
			s.PostEvent(topic, frame("dropped"))
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
		s.PostEvent("a", frame("a1"))
		before := s.Stats().QueuedBytes
		for range 1000 {
			s.LoseEvent("a")
			s.LoseEvent("b")
		}
		if st := s.Stats(); st.QueuedBytes != before || st.EventsDropped != 2000 {
			t.Errorf("%+v, %d bytes before", st, before)
		}
		s.PostEvent("a", frame("a2"))
		release()
		synctest.Wait()
		c.want(t, "first", "a1", "gap a 1000", "a2", "gap b 1000")
		s.LoseEvent("a") // nothing waits: the gap goes out alone
		synctest.Wait()
		if got := c.written(); got[len(got)-1] != "gap a 1" {
			t.Errorf("%q", got)
		}
		s.End(nil)
		s.LoseEvent("a")
	})
}

func TestEventBudgetIsFreedByWriting(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c := attached(t, Options{EventBytes: 10})
		for range 50 {
			s.PostEvent("a", frame("ten bytes."))
			synctest.Wait()
		}
		if st := s.Stats(); st.EventsDropped != 0 || len(c.written()) != 50 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestEndOnSlowEvents(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		slow := 0
		s, _, release := stuck(t, Options{EventBytes: 10, EndOnSlowEvents: true, Owner: &owner{slow: func() { slow++ }}})
		s.PostEvent("a", frame("ten bytes."))
		if s.Cause() != nil {
			t.Error("ended within the budget")
		}
		s.PostEvent("a", frame("x"))
		s.PostEvent("a", frame("x"))
		if !errors.Is(s.Cause(), ErrSlow) {
			t.Errorf("cause %v", s.Cause())
		}
		release()
		s.Wait()
		if slow != 1 {
			t.Errorf("OnSlow called %d times", slow)
		}
	})
}

// A slow reader that is always near its budget does not make the session remember ever more.
func TestGapsAreBounded(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c, release := stuck(t, Options{EventBytes: 4 * batchBytes})
		event := strings.Repeat("e", 1<<10)
		for range 50 {
			for range 5 * batchBytes >> 10 { // more than fits, so that one write does not halve what waits
				s.PostEvent("a", Shared([]byte(event)))
			}
			next := c.hold()
			release()
			release = next
			synctest.Wait()
			s.mu.Lock()
			n := len(s.gapTopics)
			s.mu.Unlock()
			if n > 1 {
				t.Fatalf("one topic is remembered %d times", n)
			}
		}
		release()
	})
}

package session

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/internal/bubble"
)

const testInterval = 25 * time.Second

// lose ends a connection after it has lasted, and resumes on another one.
func lose(t *testing.T, s *Session, c *fakeConn, lasted time.Duration, received uint64) (*fakeConn, error) {
	t.Helper()
	<-time.After(lasted)
	s.Detach(c)
	synctest.Wait()
	next := &fakeConn{}
	err := s.Resume(next, received)
	synctest.Wait()
	return next, err
}

// A frame that is first in the queue on 3 connections that each lasted the interval ends the session; shorter ones do not count.
func TestStuckFrame(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c := attached(t, Options{Resumable: true, Interval: testInterval})
		mustSend(t, s, "large")
		mustSend(t, s, "behind")
		var err error
		for _, lasted := range []time.Duration{testInterval, testInterval - 1, 0, testInterval, time.Second} {
			if c, err = lose(t, s, c, lasted, 0); err != nil {
				t.Fatal(err)
			}
			c.want(t, "large", "behind")
		}
		if _, err := lose(t, s, c, testInterval, 0); !errors.Is(err, ErrStuck) {
			t.Errorf("resumed for the third time: %v", err)
		}
		if err := s.Check(0); !errors.Is(err, ErrStuck) {
			t.Errorf("Check: %v", err)
		}
		if err := s.Check(1); err != nil {
			t.Errorf("Check of one who has it: %v", err)
		}
	})
}

// Where a frame arrives, however slowly, nothing is stuck.
func TestSlowProgressIsNotStuck(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c := attached(t, Options{Resumable: true, Interval: testInterval})
		for range 10 {
			mustSend(t, s, "frame")
		}
		var err error
		for n := range uint64(20) {
			if c, err = lose(t, s, c, time.Minute, n/2); err != nil {
				t.Fatal(err)
			}
		}
		for range 5 { // all has arrived
			if c, err = lose(t, s, c, time.Minute, 10); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A session has advanced on a connection when a frame or an acknowledgement has arrived on it; where frames are sent
// again, only when the first of them has been acknowledged.
func TestProgressed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c := attached(t, Options{Resumable: true})
		want := func(step string, want bool) {
			t.Helper()
			if got := s.Progressed(); got != want {
				t.Errorf("%s: %v, want %v", step, got, want)
			}
		}
		resume := func(received uint64) {
			t.Helper()
			s.Detach(c)
			c = &fakeConn{}
			if err := s.Resume(c, received); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		want("attached", false)
		s.Received(1)
		want("a frame has arrived", true)
		resume(0)
		want("resumed", false)
		mustSend(t, s, "one")
		mustSend(t, s, "two")
		synctest.Wait()
		want("frames were sent", false)
		s.Received(1)
		want("a frame has arrived, and none is sent again", true)
		resume(0)
		s.Received(1)
		want("a frame has arrived, and those that are sent again have not", false)
		if err := s.Ack(1); err != nil {
			t.Fatal(err)
		}
		want("the first has been acknowledged", true)
		resume(2)
		want("the registration has acknowledged all", false)
		s.Received(1)
		want("a frame has arrived after that", true)
	})
}

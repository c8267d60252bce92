package session

import (
	"context"
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

// While the only frame is held in Write, an early __ack neither frees it nor lets Flush return, and Resume waits for the Write.
func TestOnlyFrameHeldInWrite(t *testing.T) {
	for _, ack := range []bool{false, true} {
		bubble.Test(t, func(t *testing.T) {
			s, conn, release := stuck(t, Options{Resumable: true})
			if ack {
				if err := s.Ack(1); err != nil {
					t.Fatal(err)
				}
				for range 10 { // buffers that are freed are used again
					frame("another").Free()
				}
			}
			flushed := make(chan error, 1)
			go func() { flushed <- s.Flush(t.Context()) }()
			synctest.Wait()
			if len(flushed) != 0 {
				t.Fatalf("flushed while the frame is being written: %v", <-flushed)
			}
			if s.QueuedBytes() == 0 {
				t.Error("the frame is not kept while it is being written")
			}
			s.Detach(conn)
			next := &fakeConn{}
			resumed := make(chan error, 1)
			received := uint64(0)
			if ack {
				received = 1
			}
			go func() { resumed <- s.Resume(next, received) }()
			synctest.Wait()
			if len(resumed) != 0 {
				t.Fatalf("resumed while the old connection writes: %v", <-resumed)
			}
			release()
			if err := errors.Join(<-resumed, <-flushed); err != nil {
				t.Error(err)
			}
			conn.want(t, "first")
			if ack {
				next.want(t)
			} else {
				next.want(t, "first")
			}
			if err := s.Flush(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

package session

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/internal/bubble"
)

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

// A failed write leaves the connection to its reader: a close frame may be on its way.
func TestWriteFails(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c, release := stuck(t, Options{LimitBytes: 20})
		c.failWith(errWrite)
		release()
		synctest.Wait()
		if c.aborted || s.Cause() != nil {
			t.Errorf("aborted %v, cause %v", c.aborted, s.Cause())
		}
		p := mustSend(t, s, "second")
		synctest.Wait()
		if !s.Written(0) || s.Written(p) || c.writes != 1 {
			t.Error("written to a connection that failed")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("flushed without a connection: %v", err)
		}
	})
}

// A write that fails late does not take a newer connection away, and what it was
// to carry goes there.
func TestWriteFailsAfterAnotherAttach(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c, release := stuck(t, Options{})
		d := &fakeConn{}
		if err := s.Attach(d); err != nil {
			t.Fatal(err)
		}
		c.failWith(errWrite)
		release()
		synctest.Wait()
		mustSend(t, s, "second")
		synctest.Wait()
		d.want(t, "first", "second")
	})
}

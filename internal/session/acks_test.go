package session

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/internal/bubble"
)

func ack(n int) string { return fmt.Sprintf(`{"type":"__ack","payload":{"received":%d}}`, n) }

func resumable(t *testing.T, o Options) (*Session, *fakeConn) {
	o.Resumable = true
	return attached(t, o)
}

// An acknowledgement causes a write after 32 frames, with a quarter of the sender's queue, and 2 s after the
// oldest frame; not one earlier. There is no timer that does it.
func TestAckCausesAWrite(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c := resumable(t, Options{})
		for range 31 {
			s.Received(10)
		}
		synctest.Wait()
		c.want(t)
		s.Received(10)
		synctest.Wait()
		c.want(t, ack(32))
		s.SetPeerBuffer(4000)
		s.Received(999)
		synctest.Wait()
		c.want(t, ack(32))
		s.Received(1)
		synctest.Wait()
		c.want(t, ack(32), ack(34))
		s.Received(1)
		start := time.Now()
		<-time.After(time.Hour)
		c.want(t, ack(32), ack(34))
		s.AckOverdue(start.Add(2*time.Second - 1))
		synctest.Wait()
		c.want(t, ack(32), ack(34))
		s.AckOverdue(start.Add(2 * time.Second))
		synctest.Wait()
		c.want(t, ack(32), ack(34), ack(35))
		s.AckOverdue(start.Add(time.Hour)) // nothing is new
		synctest.Wait()
		c.want(t, ack(32), ack(34), ack(35))
	})
}

// The quarter is of the queue that the other side announced, not of this side's own; absent that is 4 MiB.
func TestAckQuarterIsOfTheSendersQueue(t *testing.T) {
	for _, c := range []struct{ announced, quarter int }{{0, 1 << 20}, {4000, 1000}, {1, 1}, {64 << 20, 16 << 20}} {
		bubble.Test(t, func(t *testing.T) {
			s, conn := resumable(t, Options{LimitBytes: 100})
			s.SetPeerBuffer(int64(c.announced))
			if c.quarter > 1 {
				s.Received(c.quarter - 1)
				synctest.Wait()
				conn.want(t)
			}
			s.Received(1)
			synctest.Wait()
			if n := len(conn.written()); n != 1 {
				t.Errorf("%d acknowledgements with a quarter of %d", n, c.announced)
			}
		})
	}
}

// An acknowledgement rides along with a write once 8 frames, 16 KiB or 100 ms are unacknowledged, before the frames of that
// write, and once only.
func TestAckRidesAlong(t *testing.T) {
	for name, c := range map[string]struct {
		frames, size int
		age          time.Duration
		along        bool
	}{
		"one frame":    {frames: 1, size: 10},
		"7 frames":     {frames: 7, size: 10},
		"8 frames":     {frames: 8, size: 10, along: true},
		"under 16 KiB": {frames: 1, size: 16<<10 - 1},
		"16 KiB":       {frames: 1, size: 16 << 10, along: true},
		"99 ms":        {frames: 1, size: 10, age: 99 * time.Millisecond},
		"100 ms":       {frames: 1, size: 10, age: 100 * time.Millisecond, along: true},
		"nothing new":  {age: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				s, conn := resumable(t, Options{})
				for range c.frames {
					s.Received(c.size)
				}
				<-time.After(c.age)
				mustSend(t, s, "a")
				synctest.Wait()
				mustSend(t, s, "b")
				synctest.Wait()
				if c.along {
					conn.want(t, ack(c.frames), "a", "b")
				} else {
					conn.want(t, "a", "b")
				}
			})
		})
	}
}

// However many acknowledgements become due while a Write is under way, the next one has one, with the last number.
func TestOneAckPerWrite(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c, release := stuck(t, Options{Resumable: true})
		for i := range 500 {
			s.Received(10)
			if i%50 == 0 {
				s.AckOverdue(time.Now().Add(time.Hour))
				mustSend(t, s, "x")
			}
		}
		release()
		synctest.Wait()
		got := c.written()
		if n := strings.Count(strings.Join(got, "\n"), "__ack"); n != 1 || got[1] != ack(500) {
			t.Errorf("%d acknowledgements: %q", n, got)
		}
		if c.writes != 2 {
			t.Errorf("%d writes", c.writes)
		}
	})
}

// The registration contains the number, which is not acknowledged again.
func TestResumptionAcknowledges(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c := resumable(t, Options{})
		s.Detach(c)
		for range 40 {
			s.Received(10) // it had been read
		}
		next := &fakeConn{}
		if err := s.Resume(next, 0); err != nil {
			t.Fatal(err)
		}
		mustSend(t, s, "a")
		s.AckOverdue(time.Now().Add(time.Hour))
		synctest.Wait()
		next.want(t, "a")
		c.want(t)
	})
}

// A request that was withdrawn causes no write, and no acknowledgement rides along with nothing.
func TestWithdrawnFrameCausesNoAck(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c, release := stuck(t, Options{Resumable: true})
		for range 10 {
			s.Received(1)
		}
		p := mustSend(t, s, "x")
		if !s.Withdraw(p) {
			t.Error("not withdrawn")
		}
		release()
		synctest.Wait()
		c.want(t, "first")
	})
}

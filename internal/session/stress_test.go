package session

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/alkdev/hubspoke/internal/bubble"
)

// Many senders, and buffers that go round: no frame is changed while a connection writes it, each arrives whole
// and once, and each sender's in order.
func TestBuffersAreNotReusedWhileWritten(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const senders, each = 8, 100
		s, c := attached(t, Options{LimitBytes: 2000, EventBytes: 1 << 20})
		c.yields = true
		var wg sync.WaitGroup
		var withdrawn atomic.Uint64
		for g := range senders {
			wg.Go(func() {
				for i := range each {
					text := fmt.Sprint(g, " ", i, " ", strings.Repeat(fmt.Sprint(g), i))
					if i%5 == 4 {
						appendEvent(s, "t", frame(text))
						continue
					}
					p, err := s.Append(t.Context(), Response, frame(text), 0, nil)
					if err != nil {
						t.Error(err)
					}
					if i%7 == 6 {
						if s.Withdraw(p) {
							withdrawn.Add(1)
						}
						frame("a new frame, perhaps in the same buffer").Free()
					}
				}
			})
		}
		wg.Wait()
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		checkWhole(t, c, senders)
		if n, _ := s.Sent(); n+withdrawn.Load() != senders*each {
			t.Errorf("%d sent, %d withdrawn", n, withdrawn.Load())
		}
	})
}

func checkWhole(t *testing.T, c *fakeConn, senders int) {
	t.Helper()
	if c.spoiled {
		t.Error("a frame was changed while it was being written")
	}
	last := make([]int, senders)
	for _, f := range c.written() {
		var g, i int
		fmt.Sscan(f, &g, &i)
		if f != fmt.Sprint(g, " ", i, " ", strings.Repeat(fmt.Sprint(g), i)) {
			t.Errorf("a frame is not whole: %q", f)
		}
		if i < last[g] {
			t.Errorf("%d of %d after %d", i, g, last[g])
		}
		last[g] = i
	}
}

// The session ends while its connection is in the middle of a write, and others go on sending elsewhere:
// the frames of that write are not reused for them.
func TestEndDuringAWrite(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		for range 20 {
			s, c, release := stuck(t, Options{})
			for i := range 20 {
				mustSend(t, s, fmt.Sprint("waiting ", i))
			}
			s.End(nil)
			other, _ := attached(t, Options{})
			for i := range 50 {
				mustSend(t, other, fmt.Sprint("other ", i))
			}
			synctest.Wait()
			release()
			s.Wait()
			c.want(t, "first")
		}
	})
}

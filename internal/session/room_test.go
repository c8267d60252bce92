package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/internal/bubble"
)

// A frame is admitted when the queue is empty or when it fits, exactly.
func TestAdmission(t *testing.T) {
	for _, c := range []struct {
		held, next int
		admitted   bool
	}{
		{0, 10, true}, {0, 11, true}, {0, 1000, true},
		{1, 9, true}, {1, 10, false}, {9, 1, true}, {9, 2, false}, {10, 1, false}, {1000, 1, false},
	} {
		bubble.Test(t, func(t *testing.T) {
			s, _ := attached(t, Options{LimitBytes: 10, Resumable: true})
			if c.held > 0 {
				mustSend(t, s, strings.Repeat("h", c.held))
			}
			_, err := s.Append(t.Context(), Response, frame(strings.Repeat("n", c.next)), time.Second, nil)
			if admitted := err == nil; admitted != c.admitted {
				t.Errorf("%d bytes beside %d: %v", c.next, c.held, err)
			}
			synctest.Wait()
			want := max(10, c.held, c.next)
			if n := s.QueuedBytes(); n > want {
				t.Errorf("%d bytes queued", n)
			}
		})
	}
}

// What waits is admitted in order: a large frame finds room though small ones come all the time.
func TestLargeFrameIsNotPassed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c := attached(t, Options{LimitBytes: 100, Resumable: true})
		mustSend(t, s, strings.Repeat("h", 60))
		done := make(chan string, 10)
		for i, size := range []int{90, 5, 90, 5} {
			go func() {
				if _, err := s.Append(t.Context(), Response, frame(strings.Repeat(fmt.Sprint(i), size)), 0, nil); err != nil {
					t.Error(err)
				}
				done <- fmt.Sprint(i)
			}()
			synctest.Wait()
		}
		if _, ok, _ := s.TryAppend(Response, frame("small"), nil); ok || len(done) != 0 {
			t.Error("a small frame passed a large one")
		}
		for n := uint64(1); n <= 4; n++ {
			if err := s.Ack(n); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		got := c.written()
		if len(got) != 5 || got[1][0] != '0' || got[2][0] != '1' || got[3][0] != '2' || got[4][0] != '3' {
			t.Errorf("written in another order: %q", got)
		}
	})
}

// A sender that stops waiting makes room for those behind it.
func TestGivingUpLetsOthersIn(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, _ := attached(t, Options{LimitBytes: 100, Resumable: true})
		mustSend(t, s, strings.Repeat("h", 60))
		ctx, cancel := context.WithCancel(t.Context())
		large := make(chan error, 1)
		go func() { _, err := s.Append(ctx, Response, frame(strings.Repeat("l", 90)), 0, nil); large <- err }()
		synctest.Wait()
		small := make(chan error, 1)
		go func() { _, err := s.Append(t.Context(), Response, frame("s"), 0, nil); small <- err }()
		synctest.Wait()
		if len(small) != 0 {
			t.Error("the small frame passed the large one")
		}
		cancel()
		if err := <-large; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := <-small; err != nil {
			t.Error(err)
		}
	})
}

// While there is no connection, requests wait for one, and do not hold up responses.
func TestRequestsWithoutConnectionDoNotHoldUpResponses(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c := attached(t, Options{LimitBytes: 100, Resumable: true})
		s.Detach(c)
		request := make(chan error, 1)
		go func() { _, err := s.Append(t.Context(), Request, frame("request"), 0, nil); request <- err }()
		synctest.Wait()
		mustSend(t, s, "response")
		next := &fakeConn{}
		if err := s.Resume(next, 0); err != nil {
			t.Fatal(err)
		}
		if err := <-request; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		next.want(t, "response", "request")
	})
}

// Control frames are admitted up to exactly twice the limit; the next one ends the session. A frame over the limit, which is
// admitted alone, does not count against them.
func TestPostAtTwiceTheLimit(t *testing.T) {
	for _, first := range []int{5, 100, 130, 1000} {
		bubble.Test(t, func(t *testing.T) {
			s, _, _ := stuck(t, Options{LimitBytes: 100})
			s.mu.Lock()
			s.queue.clear() // of what stuck has sent
			s.mu.Unlock()
			mustSend(t, s, strings.Repeat("f", first))
			bound := 200 + max(0, first-100)
			if err := s.AppendControl(Control, frame(strings.Repeat("p", bound-first))); err != nil {
				t.Fatal(err)
			}
			if n := s.QueuedBytes(); n != bound {
				t.Fatalf("%d bytes, want %d", n, bound)
			}
			if err := s.AppendControl(Control, frame("x")); err != nil {
				t.Errorf("at exactly the bound: %v", err)
			}
			if err := s.AppendControl(Control, frame("y")); !errors.Is(err, ErrSlow) {
				t.Errorf("over the bound: %v", err)
			}
		})
	}
}

// Only sessions without a connection are charged to the budget of all.
func TestTotalChargesDetachedSessions(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		total := &Totals{MaxDetached: 50}
		o := Options{Resumable: true, Totals: total}
		busy, _ := attached(t, o)
		mustSend(t, busy, strings.Repeat("b", 1000))
		gone, c := attached(t, o)
		mustSend(t, gone, strings.Repeat("g", 40))
		synctest.Wait()
		if n := total.DetachedBytes.Load(); n != 0 {
			t.Errorf("%d bytes charged to attached sessions", n)
		}
		gone.Detach(c)
		if n := total.DetachedBytes.Load(); n != 40 {
			t.Errorf("%d bytes charged, want 40", n)
		}
		mustSend(t, gone, strings.Repeat("g", 10)) // up to the limit
		if _, err := gone.Append(t.Context(), Response, frame("x"), time.Second, nil); !errors.Is(err, ErrNoRoom) {
			t.Errorf("beyond the budget: %v", err)
		}
		mustSend(t, busy, "an attached session continues")
		if err := gone.Resume(&fakeConn{}, 0); err != nil {
			t.Fatal(err)
		}
		if n := total.DetachedBytes.Load(); n != 0 {
			t.Errorf("%d bytes charged after the resumption", n)
		}
		gone.Detach(gone.conn)
		gone.End(nil)
		if n := total.DetachedBytes.Load(); n != 0 {
			t.Errorf("%d bytes charged after the end", n)
		}
	})
}

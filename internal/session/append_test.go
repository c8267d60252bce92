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

func TestOrder(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c := attached(t, Options{})
		var want []string
		for i := range 300 {
			text := fmt.Sprint("frame ", i)
			want = append(want, text)
			switch i % 3 {
			case 0:
				mustSend(t, s, text)
			case 1:
				if err := s.AppendControl(Control, frame(text)); err != nil {
					t.Fatal(err)
				}
			case 2:
				appendEvent(s, "t", Shared([]byte(text)))
			}
		}
		synctest.Wait()
		c.want(t, want...)
		if n, sending := s.Sent(); n != 300 || sending || s.QueuedBytes() != 0 {
			t.Errorf("%d sent, sending %v, %d bytes in the queue", n, sending, s.QueuedBytes())
		}
	})
}

// What waits goes out together, and what was sent before there was a connection goes first.
func TestAttachSendsWhatWaits(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := New(Options{})
		mustSend(t, s, "a")
		p := mustSend(t, s, "b")
		if s.Written(p) {
			t.Error("written without a connection")
		}
		c := &fakeConn{}
		if err := s.Attach(c); err != nil {
			t.Fatal(err)
		}
		mustSend(t, s, "c")
		synctest.Wait()
		c.want(t, "a", "b", "c")
		if c.writes != 1 || !s.Written(p) {
			t.Errorf("%d writes, want one for all", c.writes)
		}
		s.End(errWrite)
		if err := s.Attach(c); !errors.Is(err, errWrite) {
			t.Errorf("Attach after the end: %v", err)
		}
		s.Wait()
	})
}

func TestSendWaitsForRoom(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c, release := stuck(t, Options{LimitBytes: 11})
		mustSend(t, s, "second")
		done := make(chan error, 3)
		for _, text := range []string{"x", "y", "z"} {
			go func() { _, err := s.Append(t.Context(), Response, frame(text), 0, nil); done <- err }()
		}
		synctest.Wait()
		if len(done) != 0 {
			t.Fatal("taken without room")
		}
		release()
		for range 3 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if n := len(c.written()); n != 5 {
			t.Errorf("%d frames", n)
		}
	})
}

func TestSendGivesUp(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, _, _ := stuck(t, Options{LimitBytes: 5})
		calls := 0
		appended := notifyFunc(func() { calls++ })
		start := time.Now()
		if _, err := s.Append(t.Context(), Response, frame("x"), time.Second, appended); !errors.Is(err, ErrNoRoom) {
			t.Errorf("no room: %v", err)
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("waited %v", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Append(ctx, Response, frame("x"), time.Hour, appended); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the context ended: %v", err)
		}
		go func() { <-time.After(time.Second); s.End(errWrite) }()
		if _, err := s.Append(t.Context(), Response, frame("x"), 0, appended); !errors.Is(err, errWrite) {
			t.Errorf("the session ended: %v", err)
		}
		if _, err := s.Append(t.Context(), Response, frame("x"), 0, appended); !errors.Is(err, errWrite) {
			t.Errorf("after the end: %v", err)
		}
		if calls != 0 {
			t.Error("appended was called for what was not appended")
		}
	})
}

// Appended runs before the frame can leave.
func TestAppendedComesBeforeTheFrame(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c := attached(t, Options{})
		for range 50 {
			_, err := s.Append(t.Context(), Response, frame("x"), 0, notifyFunc(func() { c.mu.Lock(); c.frames = append(c.frames, "appended"); c.mu.Unlock() }))
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		want := strings.Split(strings.Repeat("appended|x|", 50), "|")
		c.want(t, want[:100]...)
	})
}

func TestFrameLargerThanTheLimit(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c := attached(t, Options{LimitBytes: 10, EventBytes: 10})
		big := strings.Repeat("b", 1000)
		mustSend(t, s, big)
		synctest.Wait()
		appendEvent(s, "t", frame(big))
		synctest.Wait()
		huge := strings.Repeat("h", batchBytes+1)
		mustSend(t, s, huge)
		synctest.Wait()
		c.want(t, big, big, huge)
	})
}

func TestWithdraw(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c, release := stuck(t, Options{LimitBytes: 27})
		p := mustSend(t, s, "taken back")
		q := mustSend(t, s, "last of room")
		waiting := make(chan error, 1)
		go func() { _, err := s.Append(t.Context(), Response, frame("waited"), 0, nil); waiting <- err }()
		synctest.Wait()
		if s.Written(p) || !s.Withdraw(p) {
			t.Error("not taken back")
		}
		if s.Withdraw(p) {
			t.Error("taken back twice")
		}
		synctest.Wait()
		if err := <-waiting; err != nil { // what was taken back made room
			t.Error(err)
		}
		if s.Withdraw(0) || !s.Written(0) {
			t.Error("what is being written was taken back")
		}
		if s.Withdraw(q + 100) {
			t.Error("what was never sent was taken back")
		}
		release()
		synctest.Wait()
		c.want(t, "first", "last of room", "waited")
		if s.Withdraw(q) || !s.Written(q) {
			t.Error("what was written was taken back")
		}
		if n, sending := s.Sent(); n != 3 || sending || s.QueuedBytes() != 0 {
			t.Errorf("%d sent, sending %v, %d bytes in the queue", n, sending, s.QueuedBytes())
		}
	})
}

// A batch of which all was withdrawn is no Write.
func TestWithdrawAll(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c, release := stuck(t, Options{})
		for range 10 {
			s.Withdraw(mustSend(t, s, "x"))
		}
		release()
		if err := s.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if c.want(t, "first"); c.writes != 1 {
			t.Errorf("%d writes", c.writes)
		}
	})
}

// What waits goes to the connection in few writes, each of a bounded size.
func TestOneWriteIsBounded(t *testing.T) {
	for second, writes := range map[int]int{batchBytes / 2: 1, batchBytes/2 + 1: 2} {
		bubble.Test(t, func(t *testing.T) {
			s, c, release := stuck(t, Options{})
			mustSend(t, s, strings.Repeat("a", batchBytes/2))
			mustSend(t, s, strings.Repeat("b", second))
			synctest.Wait()
			c.mu.Lock()
			before := c.writes
			c.mu.Unlock()
			release()
			synctest.Wait()
			c.mu.Lock()
			defer c.mu.Unlock()
			if n := c.writes - before; n != writes {
				t.Errorf("%d bytes went in %d writes, want %d", batchBytes/2+second, n, writes)
			}
		})
	}
}

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

// Frames that are withdrawn behind a Write that does not return leave entries behind, which are bounded too.
func TestWithdrawnFramesAreBounded(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const limit = 2 * batchBytes
		s, c, release := stuck(t, Options{LimitBytes: limit})
		n := 0
		for {
			p, ok, _ := s.TryAppend(Request, frame("x"), nil)
			if !ok {
				break
			}
			if n++; n > limit {
				t.Fatal("entries without end")
			}
			s.Withdraw(p)
		}
		if n < limit/entryBytes-2 {
			t.Errorf("%d withdrawn frames fill the queue", n)
		}
		release()
		synctest.Wait()
		mustSend(t, s, "last")
		synctest.Wait()
		c.want(t, "first", "last")
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
func TestControlAtTwiceTheLimit(t *testing.T) {
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
func TestTotalsChargeDetachedSessions(t *testing.T) {
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

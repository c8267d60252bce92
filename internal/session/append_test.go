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

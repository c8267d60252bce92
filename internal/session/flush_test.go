package session

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/transport"
)

// tryConn is a fakeConn that can write without waiting, when it likes.
type tryConn struct {
	fakeConn
	refuses func() bool // nil: never
	tries   int         // guarded by mu
}

var _ transport.Conn = (*tryConn)(nil)

func (c *tryConn) TryWrite(frames [][]byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tries++
	if c.refuses != nil && c.refuses() {
		return false
	}
	c.frames = append(c.frames, text(frames)...)
	return true
}

func trying(t *testing.T, o Options, refuses func() bool) (*Session, *tryConn) {
	t.Helper()
	s, c := New(o), &tryConn{refuses: refuses}
	if err := s.Attach(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.End(nil); s.Wait() })
	return s, c
}

// What is appended with TryAppend leaves with FlushReady and not before, all of it together; later
// senders leave their frames to the same FlushReady.
func TestTryWaitsForFlushReady(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c := trying(t, Options{}, nil)
		if _, ok, due := s.TryAppend(Request, frame("a"), nil); !ok || !due {
			t.Fatalf("%v, %v", ok, due)
		}
		if _, ok, due := s.TryAppend(Response, frame("b"), nil); !ok || due {
			t.Errorf("%v, %v: the first is to write", ok, due)
		}
		mustSend(t, s, "c")
		appendEvent(s, "t", Shared([]byte("d")))
		if err := s.AppendControl(Control, frame("e")); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		c.want(t)
		s.FlushReady()
		c.want(t, "a", "b", "c", "d", "e") // on this goroutine
		if c.tries != 1 || c.writes != 0 {
			t.Errorf("%d tries, %d writes", c.tries, c.writes)
		}
		if _, ok, due := s.TryAppend(Request, frame("f"), nil); !ok || !due {
			t.Errorf("%v, %v: no goroutine writes now", ok, due)
		}
		s.FlushReady()
		c.want(t, "a", "b", "c", "d", "e", "f")
	})
}

// A connection that would have to wait is waited for by a goroutine, not by FlushReady.
func TestFlushReadyDoesNotWait(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c := trying(t, Options{}, func() bool { return true })
		release := c.hold()
		defer release()
		for _, text := range []string{"a", "b", "c"} {
			if _, ok, due := s.TryAppend(Response, frame(text), nil); !ok {
				t.Fatal("no room")
			} else if due {
				s.FlushReady() // returns, or the bubble is stuck here
			}
			synctest.Wait()
		}
		release()
		synctest.Wait()
		c.want(t, "a", "b", "c")
	})
}

// TryAppend takes nothing where it would have to wait or the session has ended: the buffer is still its caller's.
func TestTryTakesNothingWithoutRoom(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, _, release := stuck(t, Options{LimitBytes: 15})
		mustSend(t, s, "0123456789")
		appended := notifyFunc(func() { t.Error("appended") })
		b := frame("mine")
		if _, ok, _ := s.TryAppend(Response, b, appended); ok || string(b.B) != "mine" {
			t.Errorf("%v, %q", ok, b.B)
		}
		if _, ok, _ := s.TryAppend(Request, b, nil); ok || string(b.B) != "mine" {
			t.Errorf("%v, %q", ok, b.B)
		}
		release()
		synctest.Wait()
		s.End(nil)
		if _, ok, _ := s.TryAppend(Response, b, appended); ok || string(b.B) != "mine" {
			t.Errorf("%v, %q", ok, b.B)
		}
		waiting := New(Options{Resumable: true})
		if _, ok, _ := waiting.TryAppend(Request, b, nil); ok {
			t.Error("a request was taken where there is no connection")
		}
		if _, ok, due := waiting.TryAppend(Response, b, nil); !ok || due {
			t.Errorf("%v, %v: a response waits with the session", ok, due)
		}
		waiting.End(nil)
		waiting.Wait()
	})
}

// Between TryAppend and FlushReady anything may happen to the session and its connection.
func TestFlushReadyComesLate(t *testing.T) {
	for how, then := range map[string]func(*Session, *tryConn) *tryConn{
		"ended":    func(s *Session, _ *tryConn) *tryConn { s.End(nil); return nil },
		"detached": func(s *Session, c *tryConn) *tryConn { s.Detach(c); return nil },
		"resumed": func(s *Session, c *tryConn) *tryConn {
			s.Detach(c)
			next := &tryConn{}
			_ = s.Resume(next, 0) // cannot fail
			return next
		},
		"withdrawn": func(s *Session, c *tryConn) *tryConn { s.Withdraw(0); return c },
	} {
		for _, late := range []bool{false, true} {
			bubble.Test(t, func(t *testing.T) {
				s, c := trying(t, Options{Resumable: true}, nil)
				if _, ok, due := s.TryAppend(Response, frame("a"), nil); !ok || !due {
					t.Fatal(ok, due)
				}
				next := then(s, c)
				s.FlushReady()
				if late && next == nil {
					synctest.Wait()
				}
				if how == "detached" {
					next = &tryConn{}
					if err := s.Resume(next, 0); err != nil {
						t.Error(err)
					}
				}
				synctest.Wait()
				switch {
				case how == "withdrawn":
					next.want(t)
					mustSend(t, s, "b")
					synctest.Wait()
					next.want(t, "b")
				case next != nil:
					next.want(t, "a")
					c.want(t)
				}
				s.End(nil)
				s.Wait()
			})
		}
	}
}

// The claim to write is passed on without loss and without a second writer: many append in all ways, a
// connection takes some and not others and is replaced, and all arrives once and in order.
func TestTryUnderRaces(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		rnd := rand.New(rand.NewPCG(rand.Uint64(), 0))
		coin := func(n int) int { mu.Lock(); defer mu.Unlock(); return rnd.IntN(n) }
		refuses := func() bool { return coin(2) == 0 }
		s, c := trying(t, Options{Resumable: true}, refuses)
		c.yields = true
		var group sync.WaitGroup
		const writers, each = 6, 150
		for w := range writers {
			group.Go(func() {
				for i := range each {
					b := frame(fmt.Sprintf("%d %04d", w, i))
					switch ok, due := false, false; coin(4) {
					case 0:
						if _, ok, due = s.TryAppend(Response, b, nil); due {
							<-time.After(time.Duration(coin(3)) * time.Microsecond)
							s.FlushReady()
						} else if !ok {
							t.Error("no room")
						}
					case 1:
						_ = s.AppendControl(Control, b)
					default:
						_, _ = s.Append(t.Context(), Response, b, 0, nil)
					}
				}
			})
		}
		group.Wait()
		if err := s.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		got := c.written()
		var last [writers]string
		for _, f := range got {
			w := f[0] - '0'
			if f <= last[w] {
				t.Fatalf("%q after %q", f, last[w])
			}
			last[w] = f
		}
		if len(got) != writers*each {
			t.Errorf("%d frames, want %d", len(got), writers*each)
		}
		c.want(t, got...) // nothing was spoiled
	})
}

// The wrapper of a shared frame is reused; the frame that it held is not, and is not changed.
func TestSharedFramesStayWhole(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var all []*tryConn
		var sessions []*Session
		for i := range 8 {
			s, c := trying(t, Options{EventBytes: 200, Resumable: i%2 == 0}, func() bool { return rand.IntN(3) == 0 })
			sessions, all = append(sessions, s), append(all, c)
		}
		var want []string
		for i := range 200 {
			shared := fmt.Appendf(nil, "%04d", i)
			for _, s := range sessions {
				appendEvent(s, "t", Shared(shared))
			}
			want = append(want, fmt.Sprintf("%04d", i))
			synctest.Wait()
			_ = sessions[i%8].Ack(uint64(i)) // those that are not resumable count too; what is too much is refused
			if string(shared) != want[i] {
				t.Fatalf("the frame became %q", shared)
			}
		}
		for _, c := range all {
			if got := c.written(); !slices.Equal(got, want) {
				t.Errorf("got %s", strings.Join(got, ","))
			}
		}
	})
}

// A write that fails after TryWrite has taken the frames shows in the next one, and loses nothing of a session
// that can be resumed.
func TestFailureAfterTry(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		first := true
		s, c := trying(t, Options{Resumable: true}, func() bool { first = !first; return first })
		mustSend(t, s, "a")
		c.failWith(errors.New("broken"))
		mustSend(t, s, "b")
		synctest.Wait()
		if s.Attached() {
			t.Error("still attached to a connection that is broken")
		}
		next := &tryConn{}
		if err := s.Resume(next, 0); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		next.want(t, "a", "b")
	})
}

func TestFlush(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c, release := stuck(t, Options{})
		mustSend(t, s, "second")
		done := make(chan error, 2)
		for range 2 {
			go func() { done <- s.Flush(t.Context()) }()
		}
		synctest.Wait()
		if len(done) != 0 {
			t.Error("flushed while it is being written")
		}
		release()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		c.want(t, "first", "second")
	})
}

// A detachment drops what belonged to the connection. If nothing is left then, Flush returns, and what waited for room is
// admitted.
func TestDetachmentLeavesNothingToWrite(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c := attached(t, Options{Resumable: true, LimitBytes: 10})
		p, _, ready := s.TryAppend(Response, frame("claims"), nil) // so that nothing is written before FlushReady
		if !ready {
			t.Fatal("another goroutine writes")
		}
		if err := s.AppendControl(Uncounted, frame("ten bytes.")); err != nil {
			t.Fatal(err)
		}
		s.Withdraw(p)
		flushed, appended := make(chan error, 1), make(chan error, 1)
		go func() { flushed <- s.Flush(t.Context()) }()
		synctest.Wait()
		s.Detach(c)
		synctest.Wait()
		if len(flushed) != 1 || <-flushed != nil {
			t.Fatal("Flush did not return")
		}
		next := &fakeConn{}
		if err := s.Resume(next, 0); err != nil {
			t.Fatal(err)
		}
		if err := s.AppendControl(Uncounted, frame("ten bytes.")); err != nil {
			t.Fatal(err)
		}
		go func() {
			_, err := s.Append(t.Context(), Response, frame("waits"), 0, nil)
			appended <- err
		}()
		synctest.Wait()
		if len(appended) != 0 {
			t.Fatalf("appended without room: %v", <-appended)
		}
		s.Detach(next)
		synctest.Wait()
		if len(appended) != 1 || <-appended != nil {
			t.Error("not appended, although there is room")
		}
		s.FlushReady()
	})
}

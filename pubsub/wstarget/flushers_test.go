package wstarget

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/transport"
)

// listener is a spoke that keeps what it is sent; it may be slow to take it.
type listener struct {
	sess *session.Session
	conn transport.Conn
	slow bool
	got  []string
	done chan struct{}
}

// send publishes to the listener as a Fanout does.
func (l *listener) send(f *flushers, event []byte) {
	if l.sess.AppendEvent("t", session.Shared(event)) {
		_ = f.Add(l.sess) // fails only after Close
	}
}

func listen(t *testing.T, slow bool) *listener {
	t.Helper()
	near, far := transport.Pipe(&transport.PipeOptions{BufferBytes: 256})
	l := &listener{sess: session.New(session.Options{}), conn: far, slow: slow, done: make(chan struct{})}
	if err := l.sess.Attach(near); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(l.done)
		for {
			data, err := far.Read()
			if err != nil {
				return
			}
			if l.got = append(l.got, string(data)); l.slow {
				<-time.After(time.Millisecond)
			}
		}
	}()
	return l
}

// Everything arrives, in order, at everyone, in bursts and between them; one who reads slowly holds up nobody, and when
// the sessions have ended no flusher is left.
func TestFlushersDeliverAll(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFlushers()
		var all []*listener
		for i := range 100 {
			all = append(all, listen(t, i%10 == 0))
		}
		var publishers sync.WaitGroup
		const each, publisherCount = 30, 4
		for p := range publisherCount {
			publishers.Go(func() {
				for i := range each {
					for _, l := range all {
						l.send(f, fmt.Appendf(nil, "%d %03d", p, i))
					}
					if rand.IntN(10) == 0 {
						<-time.After(time.Millisecond)
					}
				}
			})
		}
		publishers.Wait()
		for _, l := range all {
			if err := l.sess.Flush(t.Context()); err != nil {
				t.Error(err)
			}
			l.sess.End(nil)
			l.sess.Wait()
		}
		f.Close()                 // as Shutdown does, when the sessions have ended
		<-time.After(time.Minute) // for the slow ones
		for i, l := range all {
			l.conn.Abort()
			<-l.done
			var last [publisherCount]string
			for _, got := range l.got {
				if p := got[0] - '0'; got <= last[p] {
					t.Fatalf("listener %d got %q after %q", i, got, last[p])
				} else {
					last[p] = got
				}
			}
			if len(l.got) != each*publisherCount {
				t.Errorf("listener %d got %d events, want %d", i, len(l.got), each*publisherCount)
			}
		}
	})
}

// A round writes to each of its sessions, however many goroutines share it.
func TestFlusherWritesToAll(t *testing.T) {
	for _, n := range []int{1, 2, flushShare, flushShare + 1, 2*flushShare + 1} {
		bubble.Test(t, func(t *testing.T) {
			var all []*listener
			var ready []*session.Session
			for range n {
				l := listen(t, false)
				if !l.sess.AppendEvent("t", session.Shared([]byte("x"))) {
					t.Fatal("the caller is not to write")
				}
				all, ready = append(all, l), append(ready, l.sess)
			}
			flusher{}.Handle(ready)
			synctest.Wait()
			for i, l := range all {
				if len(l.got) != 1 {
					t.Errorf("%d of %d received %q, want one event", i, n, l.got)
				}
				l.sess.End(nil)
				l.sess.Wait()
				l.conn.Abort()
				<-l.done
			}
		})
	}
}

// A session that ends, or loses its connection, between its event and its flusher holds nothing up.
func TestFlushersMeetAnEndedSession(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFlushers()
		for i := range 500 {
			l := listen(t, false)
			l.send(f, []byte("x"))
			switch i % 3 {
			case 0:
				l.sess.End(nil)
			case 1:
				l.conn.Abort()
			}
			if i%2 == 0 {
				runtime.Gosched()
			}
			l.sess.End(nil)
			l.sess.Wait() // returns only when its flusher has let go
			l.conn.Abort()
			<-l.done
		}
		f.Close()
		synctest.Wait()
	})
}

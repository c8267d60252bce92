package transport_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/transport"
)

// ledger is what a reader has to write for what it has read, and whether it has.
type ledger struct {
	mu    sync.Mutex // guards the fields below
	ready sync.Cond
	read  int // messages
	done  int // of them, those that were followed by a call before a wait
	calls int
	over  bool
}

// keep reads until the end, on a goroutine of its own.
func keep(t *testing.T, c transport.Conn) (l *ledger, can bool) {
	t.Helper()
	l = &ledger{}
	l.ready.L = &l.mu
	w, ok := c.(transport.Waiter)
	if !ok {
		t.Fatal("the connection is no Waiter")
	}
	can = w.BeforeWait(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.done = l.read
		l.calls++
		l.ready.Broadcast()
	})
	go func() {
		for {
			_, err := c.Read()
			l.mu.Lock()
			if err == nil {
				l.read++
			} else {
				l.over = true
			}
			l.ready.Broadcast()
			l.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return l, can
}

// want waits until n messages were read and nothing of them is left to be written. Nothing more comes meanwhile: if the
// reader slept with something unwritten it would sleep for ever.
func (l *ledger) want(t *testing.T, n int) {
	t.Helper()
	timer := time.AfterFunc(20*time.Second, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.over = true
		l.ready.Broadcast()
	})
	defer timer.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.done < n && !l.over {
		l.ready.Wait()
	}
	if l.done != n {
		t.Fatalf("%d messages read, %d seen to; want %d", l.read, l.done, n)
	}
}

// randomFrames makes messages of all sizes, as a client sends them, and where each ends.
func randomFrames(n int) (all []byte, ends []int) {
	for range n {
		size := rand.IntN(100)
		switch rand.IntN(20) {
		case 0:
			size = 1 << 10
		case 1:
			size = 40 << 10
		}
		if rand.IntN(6) == 0 {
			all = append(all, frame(0x89, "ping")...)
		}
		if rand.IntN(6) == 0 { // in two fragments
			all = append(all, frame(0x01, strings.Repeat("x", size))...)
			all = append(all, frame(0x80, "rest")...)
		} else {
			all = append(all, frame(0x81, strings.Repeat("x", size))...)
		}
		ends = append(ends, len(all))
	}
	return all, ends
}

// However a stream of messages is cut into pieces, the reader is told before it waits for the next piece.
func TestBeforeWaitWithPartsOfFrames(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s := newServer(t, secure, nil)
		for range 10 {
			all, ends := randomFrames(40)
			first := rand.IntN(200) * rand.IntN(2) // in the same segment as the handshake
			r, server := dialRaw(t, s, all[:min(first, len(all))])
			sent := min(first, len(all))
			l, can := keep(t, server)
			if !secure && !can {
				t.Fatal("a plain socket cannot tell")
			}
			go func() { // the pongs
				buf := make([]byte, 4096)
				for {
					if _, err := r.in.Read(buf); err != nil {
						return
					}
				}
			}()
			for can && sent < len(all) {
				n := min(1+rand.IntN(120), len(all)-sent)
				if rand.IntN(4) == 0 {
					n = min(1+rand.IntN(60<<10), len(all)-sent)
				}
				r.send(all[sent : sent+n])
				sent += n
				complete := 0
				for _, e := range ends {
					if e <= sent {
						complete++
					}
				}
				l.want(t, complete)
			}
			server.Abort()
		}
	}
}

// The same at the end that has dialled, where the library of the handshake has a buffer of its own.
func TestBeforeWaitOfTheClient(t *testing.T) {
	s := newServer(t, false, nil)
	client, server := s.pair(t, testLinger)
	l, can := keep(t, client)
	if !can {
		t.Fatal("a plain socket cannot tell")
	}
	total := 0
	for range 300 {
		var frames [][]byte
		for range 1 + rand.IntN(5) {
			frames = append(frames, fmt.Appendf(nil, "%s", strings.Repeat("x", rand.IntN(6000))))
		}
		if err := server.Write(frames); err != nil {
			t.Fatal(err)
		}
		total += len(frames)
		l.want(t, total)
	}
	client.Abort()
	server.Abort()
}

// Over TLS it cannot tell, and does not; nil ends the calls.
func TestBeforeWaitEnds(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s := newServer(t, secure, nil)
		client, server := s.pair(t, testLinger)
		for _, c := range []transport.Conn{client, server} {
			calls := 0
			w := c.(transport.Waiter)
			if can := w.BeforeWait(func() { calls++ }); can == secure {
				t.Errorf("secure %v: %v", secure, can)
			}
			other := client
			if c == client {
				other = server
			}
			exchange(t, other, c)
			if (calls > 0) == secure {
				t.Errorf("secure %v: %d calls", secure, calls)
			}
			w.BeforeWait(nil)
			calls = 0
			exchange(t, other, c)
			if calls > 0 {
				t.Errorf("%d calls after the end of them", calls)
			}
		}
		client.Abort()
		server.Abort()
	}
}

package hub_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/transport"
)

// brokenWire dials a hub in memory, over connections that break after a random number of
// messages in either direction, the registration and its answer included. Each side sees that at a time of its
// own: until then the connection is half-open. What is on its way may arrive or not, and so
// may a registration that the spoke has given up, behind a newer one.
type brokenWire struct {
	hub  *hub.Hub
	wg   *sync.WaitGroup
	cuts *atomic.Int64
	heal atomic.Bool // connections from now on hold

	mu   sync.Mutex // guards the fields below
	rnd  *rand.Rand
	last *brokenLink
}

var errNoRoute = errors.New("no route")

func (w *brokenWire) random(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rnd.IntN(n)
}

func (w *brokenWire) Dial(ctx context.Context, _ string, _ http.Header) (transport.Conn, error) {
	if w.random(10) == 0 && !w.heal.Load() {
		w.cuts.Add(1)
		return nil, errNoRoute
	}
	a, b := transport.Pipe(&transport.PipeOptions{BufferBytes: 2 << 10})
	l := &brokenLink{wire: w, ends: [2]transport.Conn{a, b}, left: 1 << 60}
	if !w.heal.Load() {
		l.left = int64(w.random(1 + w.random([]int{6, 40, 400}[w.random(3)]))) // often during the registration
	}
	w.mu.Lock()
	w.last = l
	w.mu.Unlock()
	late := time.Duration(w.random(2)*w.random(2)*w.random(1500)) * time.Millisecond
	w.wg.Go(func() {
		<-time.After(late)
		w.hub.Accept(&brokenConn{b, l}, &call.Identity{ID: call.Anonymous})
	})
	return &brokenConn{a, l}, nil
}

// start lets connections break from now on, the present one too.
func (w *brokenWire) start() {
	w.heal.Store(false)
	w.mu.Lock()
	l := w.last
	w.mu.Unlock()
	l.mu.Lock()
	l.left = 10
	l.mu.Unlock()
}

// brokenLink is one connection.
type brokenLink struct {
	wire   *brokenWire
	ends   [2]transport.Conn
	broken atomic.Bool

	mu   sync.Mutex
	left int64 // messages that still pass; guarded by mu
}

// pass reports whether a message gets through.
func (l *brokenLink) pass() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left == 0 && !l.broken.Swap(true) {
		l.wire.cuts.Add(1)
		for _, end := range l.ends {
			after := time.Duration(l.wire.random(2)*l.wire.random(2000)) * time.Millisecond
			l.wire.wg.Go(func() {
				<-time.After(after)
				end.Abort()
			})
		}
	}
	l.left = max(l.left-1, 0)
	return !l.broken.Load()
}

type brokenConn struct {
	transport.Conn
	link *brokenLink
}

func (c *brokenConn) Write(frames [][]byte) error {
	w := c.link.wire
	if w.random(20) == 0 {
		<-time.After(time.Duration(w.random(300)) * time.Millisecond) // a stall
	}
	for i := range frames {
		if !c.link.pass() {
			return nil // as far as this side can tell
		}
		if err := c.Conn.Write(frames[i : i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (c *brokenConn) TryWrite([][]byte) bool { return false }

// Close does not get through a broken connection either.
func (c *brokenConn) Close(code transport.CloseCode, reason string) {
	if !c.link.broken.Load() {
		c.Conn.Close(code, reason)
	}
}

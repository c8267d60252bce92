package hub_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/transport"
)

// watchedLinks are links whose dialed ends can be looked at.
type watchedLinks struct {
	hub.MemoryLinks
	mu    sync.Mutex // guards the field below
	conns []*watchedConn
}

type watchedConn struct {
	transport.Conn
	busy    func() bool
	aborted atomic.Bool
}

func (l *watchedLinks) Dial(ctx context.Context, from, to string) (transport.Conn, error) {
	conn, err := l.MemoryLinks.Dial(ctx, from, to)
	if err != nil {
		return nil, err
	}
	w := &watchedConn{Conn: conn}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, w)
	return w, nil
}

func (c *watchedConn) Watch(busy func() bool) { c.busy = busy }

func (c *watchedConn) Abort() {
	c.aborted.Store(true)
	c.Conn.Abort()
}

// The conn of a link can ask whether calls are in flight on it, is aborted when it has ended, and is dialed again for the next call.
func TestLinkConn(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		links := &watchedLinks{}
		bp := &hub.Backplane{Directory: &hub.MemoryDirectory{}, Links: links}
		a := hubtest.New(t, &hub.Options{ID: "hub-a", Backplane: bp})
		b := hubtest.New(t, &hub.Options{ID: "hub-b", Backplane: bp})
		b.Spoke("on-b", nil, serveWho("on-b"))
		for i := range 2 {
			if who, err := call.Invoke[string](t.Context(), a.Hub, "test.who", nil); err != nil || who != "on-b" {
				t.Fatalf("call %d: %q, %v", i, who, err)
			}
			synctest.Wait()
			if len(links.conns) != i+1 {
				t.Fatalf("%d links were dialed, want %d", len(links.conns), i+1)
			}
			conn := links.conns[i]
			if conn.busy() {
				t.Error("busy without a call in flight")
			}
			failed := make(chan error, 1)
			go func() {
				_, err := call.Invoke[string](t.Context(), a.Hub, "test.wait", nil)
				failed <- err
			}()
			synctest.Wait()
			if !conn.busy() || conn.aborted.Load() {
				t.Errorf("with a call in flight: busy %v, aborted %v", conn.busy(), conn.aborted.Load())
			}
			conn.Close(transport.CloseGoingAway, "reset")
			synctest.Wait()
			if err := <-failed; !errors.Is(err, call.CodeDisconnected) {
				t.Errorf("the call ended with %v", err)
			}
			if !conn.aborted.Load() {
				t.Error("the conn of a link that has ended was not aborted")
			}
		}
	})
}

// A hub that has left, or was never there, is not dialed, and nor does one dial that has left itself.
func TestMemoryLinksDial(t *testing.T) {
	var links hub.MemoryLinks
	accepted := make(chan transport.Conn, 1)
	leaveA, err := links.Join("a", func(string, transport.Conn) {})
	must(t, err)
	leaveB, err := links.Join("b", func(from string, conn transport.Conn) {
		if from != "a" {
			t.Errorf("dialed by %q", from)
		}
		accepted <- conn
	})
	must(t, err)
	conn, err := links.Dial(t.Context(), "a", "b")
	must(t, err)
	must(t, conn.Write([][]byte{[]byte("frame")}))
	far := <-accepted
	if frame, err := far.Read(); err != nil || string(frame) != "frame" {
		t.Errorf("%s, %v", frame, err)
	}
	conn.Abort()
	far.Abort()
	for _, pair := range [][2]string{{"a", "c"}, {"c", "b"}} {
		if _, err := links.Dial(t.Context(), pair[0], pair[1]); err == nil {
			t.Errorf("%v: dialed", pair)
		}
	}
	leaveB()
	if _, err := links.Dial(t.Context(), "a", "b"); err == nil {
		t.Error("a hub that has left was dialed")
	}
	leaveA()
}

// A hub without links has no others, and its answers are whole.
func TestHubWithoutLinks(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := &scriptedDirectory{}
		net := hubtest.New(t, &hub.Options{ID: "hub-a", Backplane: &hub.Backplane{Directory: d}})
		net.Spoke("s", nil, serveWho("s"))
		d.mu.Lock()
		d.onSpoke = func(string) (hub.Record, bool, error) {
			t.Error("the directory was asked")
			return hub.Record{}, false, nil
		}
		d.mu.Unlock()
		if _, err := call.Invoke[string](t.Context(), net.Hub, "test.who", nil, call.To("nobody")); !errors.Is(err, call.CodeSpokeNotFound) {
			t.Error(err)
		}
		if done, err := net.Hub.Disconnect(t.Context(), "nobody", ""); done || err != nil {
			t.Error(done, err)
		}
		if done, err := net.Hub.Reauthenticate(t.Context(), "nobody"); done || err != nil {
			t.Error(done, err)
		}
		if got := net.Hub.OperationType(t.Context(), "nobody", "test.who"); got != "" {
			t.Error(got)
		}
		if list, err := net.Hub.AllSpokes(t.Context(), nil, nil); len(list) != 1 || err != nil {
			t.Error(list, err)
		}
	})
}

// trackedLinks reports the connections of links that are garbage.
type trackedLinks struct {
	hub.MemoryLinks
	collected atomic.Int64
}

type trackedConn struct{ transport.Conn }

func (l *trackedLinks) Join(hubID string, accept func(string, transport.Conn)) (func(), error) {
	return l.MemoryLinks.Join(hubID, func(from string, c transport.Conn) {
		tracked := &trackedConn{c}
		runtime.AddCleanup(tracked, func(l *trackedLinks) { l.collected.Add(1) }, l)
		accept(from, tracked)
	})
}

// A hub forgets a link that has ended.
func TestLinkThatEndedIsForgotten(t *testing.T) {
	const n = 20
	links := &trackedLinks{}
	bp := &hub.Backplane{Events: &pubsub.Local{}, Directory: &hub.MemoryDirectory{}, Links: links}
	hubtest.New(t, &hub.Options{AllowAnonymous: true, ID: "hub-a", Backplane: bp})
	leave, err := links.Join("far", func(string, transport.Conn) {})
	must(t, err)
	defer leave()
	for range n {
		c, err := links.Dial(t.Context(), "far", "hub-a")
		must(t, err)
		c.Close(transport.CloseNormal, "")
		readOut(c)
	}
	for looks := 0; links.collected.Load() < n; looks++ {
		if looks == 1000 {
			t.Fatalf("%d of %d connections of ended links are garbage", links.collected.Load(), n)
		}
		runtime.GC()
		<-time.After(time.Millisecond)
	}
}

func readOut(c transport.Conn) {
	for {
		if _, err := c.Read(); err != nil {
			return
		}
	}
}

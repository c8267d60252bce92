package transporttest

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/transport"
)

// testPing: nothing but the answer to a ping moves LastReceived.
func testPing(t *testing.T, a, b transport.Conn) {
	if errors.Is(a.Ping(), errors.ErrUnsupported) {
		t.Log("cannot ping: nothing to see")
		return
	}
	mine, theirs := ending(a), ending(b)
	beforeA, beforeB := a.LastReceived(), b.LastReceived()
	if time.Since(beforeA) > time.Minute || time.Since(beforeB) > time.Minute {
		t.Errorf("LastReceived at the beginning: %v, %v", beforeA, beforeB)
	}
	if err := a.Ping(); err != nil {
		t.Fatalf("Ping: %v", err)
	}
	waitAfter(a, beforeA)
	waitAfter(b, beforeB)
	a.Close(transport.CloseNormal, "")
	wantClose(t, <-mine, transport.CloseNormal, false)
	wantClose(t, <-theirs, transport.CloseNormal, true)
	if err := a.Ping(); err == nil {
		t.Error("Ping after the end succeeded")
	}
}

// waitAfter returns once c has received something after the time. In a
// synctest bubble the clock stands still while anything runs, hence the timer.
func waitAfter(c transport.Conn, before time.Time) {
	for !c.LastReceived().After(before) {
		<-time.After(time.Millisecond)
		_ = c.Ping()
	}
}

func testPingStuck(t *testing.T, a, _ transport.Conn) {
	if errors.Is(a.Ping(), errors.ErrUnsupported) {
		t.Log("cannot ping: nothing to see")
		return
	}
	done := stuck(t, a)
	for range 1000 {
		if err := a.Ping(); err != nil {
			t.Fatalf("Ping: %v", err)
		}
		runtime.Gosched()
	}
	a.Abort()
	wantLost(t, <-done)
}

func testRemoteAddr(t *testing.T, a, b transport.Conn) {
	if a.RemoteAddr() == "" || b.RemoteAddr() == "" {
		t.Errorf("%q, %q", a.RemoteAddr(), b.RemoteAddr())
	}
}

// testConcurrent is for the race detector.
func testConcurrent(t *testing.T, a, b transport.Conn) {
	var all sync.WaitGroup
	for _, c := range []transport.Conn{a, b} {
		all.Go(func() { _ = readEnd(c) })
		all.Go(func() {
			for c.Write(frames("x", "y")) == nil {
			}
		})
		for range 2 {
			all.Go(func() {
				for range 50 {
					_ = c.Ping()
					_ = c.LastReceived()
					_ = c.RemoteAddr()
				}
				c.Close(transport.CloseNormal, "")
			})
		}
	}
	all.Wait()
	all.Go(a.Abort)
	all.Go(b.Abort)
	all.Wait()
}

// wantNoGoroutines waits until no goroutine is inside a connection any more: after
// Abort they end, but nobody waits for them there.
func wantNoGoroutines(t *testing.T) {
	t.Helper()
	var stacks string
	for range 1000 {
		buffer := make([]byte, 1<<20)
		stacks = string(buffer[:runtime.Stack(buffer, true)])
		if !strings.Contains(stacks, "hubspoke/transport.(") && !strings.Contains(stacks, "coder/websocket.") {
			return
		}
		<-time.After(time.Millisecond)
	}
	t.Errorf("goroutines are left:\n%s", stacks)
}

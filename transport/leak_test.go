package transport_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/transport"
)

// goroutines counts those that run code of this package or of the WebSocket
// library.
func goroutines() int {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	n := 0
	for g := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(g, "hubspoke/transport.(") || strings.Contains(g, "coder/websocket.") {
			n++
		}
	}
	return n
}

// settled waits until the goroutines of the handshake have returned: net/http writes the request on a goroutine of
// its own, which may still be on its way out of the connection's Write when the answer has been read.
func settled(t *testing.T) {
	t.Helper()
	for attempt := 0; goroutines() != 0; attempt++ {
		if attempt == 500 {
			t.Fatalf("after the handshake: %s", leftover())
		}
		<-time.After(10 * time.Millisecond)
	}
}

// leftover lists all goroutines, for a message.
func leftover() string {
	stacks := make([]byte, 1<<20)
	return fmt.Sprintf("%d goroutines:\n%s", goroutines(), stacks[:runtime.Stack(stacks, true)])
}

// An idle connection has no goroutine of its own, at neither end, and the HTTP
// handler has returned.
func TestIdleConnHasNoGoroutine(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s := newServer(t, secure, nil)
		client, server := s.pair(t, testLinger)
		settled(t)
		echo(t, client, server)
	}
}

// After Read has returned its error nothing is left: no goroutine, no file
// descriptor; nor after Abort alone.
func TestNothingIsLeft(t *testing.T) {
	s := newServer(t, false, nil)
	before := descriptors(t)
	for i := range 20 {
		client, server := s.pair(t, testLinger)
		settled(t)
		if i%2 == 0 {
			client.Abort()
			server.Abort()
			if goroutines() != 0 {
				t.Fatal(leftover())
			}
			continue
		}
		done := make(chan bool)
		go func() {
			_, _ = server.Read()
			done <- true
		}()
		client.Close(transport.CloseNormal, "")
		_, _ = client.Read()
		<-done
		if goroutines() != 0 {
			t.Fatal(leftover())
		}
	}
	// The sockets close when their last user, the poller, lets go.
	for range 200 {
		if descriptors(t) <= before {
			return
		}
		<-time.After(time.Millisecond)
	}
	t.Errorf("%d file descriptors, %d before", descriptors(t), before)
}

func descriptors(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Log("this system does not show its file descriptors")
		return 0
	}
	return len(entries)
}

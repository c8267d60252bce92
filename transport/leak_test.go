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

// collect runs the garbage collector and the finalizers.
func collect() {
	for range 3 {
		runtime.GC()
		<-time.After(time.Millisecond)
	}
}

// counted is a Meter that reports the bytes.
type counted chan int

func (c counted) Received(_, bytes int) bool {
	if bytes > 0 {
		c <- bytes
	}
	return true
}

// Each connection has a buffer of its own for what has arrived, also after others ended while they waited.
func TestBuffersAreNotShared(t *testing.T) {
	const n, half = 20, 1000
	for _, secure := range []bool{false, true} {
		s := newServer(t, secure, nil)
		waits := make(chan error, n)
		var idle []transport.Conn
		for range n {
			_, c := dialRaw(t, s)
			idle = append(idle, c)
			go func() { _, err := c.Read(); waits <- err }()
		}
		<-time.After(20 * time.Millisecond) // they wait
		for _, c := range idle {
			c.Abort()
		}
		for range n {
			wantLost(t, <-waits)
		}
		var raws []*raw
		arrived, read := make(counted, 100*n), make(chan string, n)
		for range n {
			r, c := dialRaw(t, s)
			c.SetMeter(arrived)
			raws = append(raws, r)
			go func() {
				msg, err := c.Read()
				if err != nil {
					t.Error(err)
				}
				read <- string(msg)
			}()
		}
		text := func(i int) string { return strings.Repeat(string(rune('a'+i)), 2*half) }
		total := 0
		for i, r := range raws {
			r.send(frame(0x81, text(i))[:half])
			for total += half; total > 0; { // it is in its buffer
				total -= <-arrived
			}
		}
		for i, r := range raws {
			r.send(frame(0x81, text(i))[half:])
			if got := <-read; got != text(i) {
				t.Errorf("TLS %v: message %d is %.20q … of %d bytes", secure, i, got, len(got))
			}
		}
	}
}

// While a reader waits, its connection holds no read buffer, with TLS nor without.
func TestIdleConnHoldsNoBuffer(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s := newServer(t, secure, nil)
		const n = 10
		var before, after runtime.MemStats
		var servers, clients [n]transport.Conn
		for i := range n {
			clients[i], servers[i] = s.pair(t, testLinger)
			if err := clients[i].Write([][]byte{make([]byte, 4<<10)}); err != nil {
				t.Fatal(err)
			}
			if _, err := servers[i].Read(); err != nil {
				t.Fatal(err)
			}
		}
		collect()
		runtime.ReadMemStats(&before) // each holds the buffer of the message
		ended := make(chan struct{}, n)
		for i := range n {
			go func() {
				_, _ = servers[i].Read()
				ended <- struct{}{}
			}()
		}
		<-time.After(20 * time.Millisecond) // they wait
		collect()
		runtime.ReadMemStats(&after)
		if freed := int64(before.HeapAlloc) - int64(after.HeapAlloc); freed < n*12<<10 {
			t.Errorf("TLS %v: %d bytes less, want %d buffers of 16 KiB", secure, freed, n)
		}
		for i := range n {
			clients[i].Abort()
			<-ended
		}
	}
}

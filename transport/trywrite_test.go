package transport_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/transport"
)

// exchange sends a message each way.
func exchange(t *testing.T, a, b transport.Conn) {
	t.Helper()
	for _, way := range [][2]transport.Conn{{a, b}, {b, a}} {
		if err := way[0].Write([][]byte{[]byte("hello")}); err != nil {
			t.Fatal(err)
		}
		if data, err := way[1].Read(); err != nil || string(data) != "hello" {
			t.Fatalf("%q, %v", data, err)
		}
	}
}

// readAll hands on what arrives until the end.
func readAll(c transport.Conn) <-chan string {
	got := make(chan string, 100_000)
	go func() {
		defer close(got)
		for {
			data, err := c.Read()
			if err != nil {
				return
			}
			got <- string(data)
		}
	}()
	return got
}

// TryWrite and Write in turn, with control frames between them from both ends: all arrives once and in order, in
// both directions.
func TestTryWriteKeepsTheOrder(t *testing.T) {
	s := newServer(t, false, nil)
	client, server := s.pair(t, testLinger)
	var group sync.WaitGroup
	var readers sync.WaitGroup
	const n = 3000
	for _, way := range [][2]transport.Conn{{client, server}, {server, client}} {
		from, got := way[0], readAll(way[1])
		group.Go(func() {
			for i := 0; i < n; {
				var frames [][]byte
				for range 1 + rand.IntN(3) {
					frames = append(frames, fmt.Appendf(nil, "%d %s", i, strings.Repeat("x", rand.IntN(300))))
					i++
				}
				if rand.IntN(5) > 0 && from.TryWrite(frames) {
					continue
				}
				if err := from.Write(frames); err != nil {
					t.Error(err)
				}
			}
			if err := from.Write([][]byte{[]byte("last")}); err != nil {
				t.Error(err)
			}
		})
		group.Go(func() {
			for range 300 {
				if err := from.Ping(); err != nil {
					t.Error(err)
				}
			}
		})
		readers.Go(func() {
			i := 0
			for f := range got {
				if f == "last" {
					break
				}
				if number, _, _ := strings.Cut(f, " "); number != fmt.Sprint(i) {
					t.Errorf("got %.20q, want %d", f, i)
					break
				}
				i++
			}
			if i < n {
				t.Errorf("%d frames, want %d", i, n)
			}
		})
	}
	group.Wait()
	readers.Wait()
	client.Abort()
	server.Abort()
}

// fill writes to a connection that nobody reads until it would have to wait.
func fill(t *testing.T, w transport.Conn) (taken int) {
	t.Helper()
	for ; taken < 10_000; taken++ {
		x := [][]byte{fmt.Appendf(nil, "%06d%s", taken, strings.Repeat("x", 9_000))}
		if w.TryWrite(x) {
			continue
		}
		// The system may find room yet for what has begun; then it is not full.
		if <-time.After(100 * time.Millisecond); !w.TryWrite(x) {
			return taken
		}
	}
	t.Fatal("the socket is never full")
	return 0
}

// What was taken of a socket that is full goes out by itself as soon as there is room, in order, and what comes
// behind it too.
func TestTryWriteToAFullSocket(t *testing.T) {
	s := newServer(t, false, nil)
	client, server := s.pair(t, testLinger)
	for name, way := range map[string][2]transport.Conn{"server": {server, client}, "client": {client, server}} {
		from, to := way[0], way[1]
		taken := fill(t, from)
		got := make(chan string)
		stop := make(chan struct{})
		go func() {
			for range taken {
				data, err := to.Read()
				if err != nil {
					t.Error(err)
				}
				got <- string(data[:6])
			}
			close(stop)
		}()
		for i := range taken { // nobody writes any more
			if f := <-got; f != fmt.Sprintf("%06d", i) {
				t.Fatalf("%s: got %s, want %d", name, f, i)
			}
		}
		<-stop
		if err := from.Write([][]byte{[]byte("more")}); err != nil { // it waits for the turn
			t.Error(err)
		}
		if !from.TryWrite([][]byte{[]byte("again")}) {
			t.Errorf("%s: refused on an empty socket", name)
		}
		for _, want := range []string{"more", "again"} {
			if data, err := to.Read(); err != nil || string(data) != want {
				t.Errorf("%s: %q, %v", name, data, err)
			}
		}
	}
	client.Abort()
	server.Abort()
}

// The rest of frames that were taken has its time like a Write; when that is over the connection ends for its reader,
// though nobody writes again.
func TestTryWriteThatIsNeverRead(t *testing.T) {
	s := newServer(t, false, &transport.AcceptOptions{WriteTimeout: 300 * time.Millisecond})
	client, server := s.pair(t, testLinger)
	fill(t, server)
	ended := make(chan struct{})
	var more sync.WaitGroup
	more.Go(func() { // the system may find room for what waits even now, and then nothing waits
		for {
			select {
			case <-ended:
				return
			case <-time.After(10 * time.Millisecond):
				_ = server.TryWrite([][]byte{make([]byte, 9_000)})
			}
		}
	})
	if _, err := server.Read(); !errors.Is(err, transport.ErrLost) {
		t.Errorf("%v", err)
	}
	close(ended)
	more.Wait()
	if server.TryWrite([][]byte{[]byte("x")}) {
		t.Error("taken after the end")
	}
	client.Abort()
}

// The deadline of an earlier write that has passed long ago is not that of the next.
func TestTryWriteAfterADeadline(t *testing.T) {
	s := newServer(t, false, &transport.AcceptOptions{WriteTimeout: 100 * time.Millisecond})
	client, server := s.pair(t, testLinger)
	for range 3 {
		if !server.TryWrite([][]byte{[]byte("x")}) {
			t.Error("refused")
		}
		if data, err := client.Read(); err != nil || string(data) != "x" {
			t.Fatalf("%q, %v", data, err)
		}
		<-time.After(200 * time.Millisecond)
	}
	client.Abort()
	server.Abort()
}

// It takes nothing over TLS, of much at once, behind a close of either side, after the end.
func TestTryWriteRefuses(t *testing.T) {
	x := [][]byte{[]byte("x")}
	secure := newServer(t, true, nil)
	client, server := secure.pair(t, testLinger)
	if server.TryWrite(x) || client.TryWrite(x) {
		t.Error("taken over TLS")
	}
	exchange(t, client, server)
	client.Abort()
	server.Abort()

	plain := newServer(t, false, nil)
	client, server = plain.pair(t, testLinger)
	if server.TryWrite([][]byte{make([]byte, 1<<20)}) {
		t.Error("a large message was taken")
	}
	exchange(t, client, server)
	server.Close(transport.CloseNormal, "bye")
	if server.TryWrite(x) {
		t.Error("taken behind a close")
	}
	_, err := client.Read()
	if ce, ok := errors.AsType[*transport.CloseError](err); !ok || ce.Code != transport.CloseNormal {
		t.Errorf("%v", err)
	}
	if client.TryWrite(x) {
		t.Error("taken behind the other side's close")
	}
	server.Abort()
	if server.TryWrite(x) {
		t.Error("taken after the end")
	}
}

// Both ends write and end at any moment: what arrives is a beginning of what was taken, and nothing is left.
func TestTryWriteAndEnds(t *testing.T) {
	s := newServer(t, false, &transport.AcceptOptions{Linger: testLinger})
	for round := range 30 {
		client, server := s.pair(t, testLinger)
		got := readAll(client)
		ended := readAll(server)
		var group sync.WaitGroup
		begin := make(chan struct{})
		group.Go(func() {
			<-begin
			for i := 0; i < 2000 && server.TryWrite([][]byte{fmt.Append(nil, i)}); i++ {
				continue
			}
		})
		group.Go(func() {
			<-begin
			<-time.After(time.Duration(rand.IntN(2000)) * time.Microsecond)
			switch round % 3 {
			case 0:
				server.Abort()
			case 1:
				server.Close(transport.CloseNormal, "")
			case 2:
				client.Abort()
			}
		})
		close(begin)
		group.Wait()
		server.Close(transport.CloseNormal, "")
		i := 0
		for f := range got {
			if f != fmt.Sprint(i) {
				t.Errorf("got %q, want %d", f, i)
			}
			i++
		}
		for range ended {
			t.Error("the client has written nothing")
		}
		if n := goroutines(); n != 0 {
			t.Fatalf("%d goroutines", n)
		}
	}
}

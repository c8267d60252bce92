package transport_test

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/transport"
)

// ledger is what a reader has read, and what of that before it last had to wait.
type ledger struct {
	mu    sync.Mutex // guards the fields below
	ready sync.Cond
	read  int // messages
	done  int // of them, those after which TryRead has found nothing
	over  bool
}

// keep reads until the end, on a goroutine of its own: with Read only where TryRead finds nothing.
func keep(c transport.Conn) *ledger {
	l := &ledger{}
	l.ready.L = &l.mu
	go func() {
		for {
			_, ok, err := c.TryRead()
			if !ok && err == nil {
				l.mu.Lock()
				l.done = l.read
				l.ready.Broadcast()
				l.mu.Unlock()
				_, err = c.Read()
			}
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
	return l
}

// want waits until n messages were read and the reader has found nothing more. Nothing more comes meanwhile: a message
// that is not found now is never found.
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
		t.Fatalf("%d messages read, %d before a wait; want %d", l.read, l.done, n)
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

// However a stream of messages is cut into pieces, the reader gets each message as soon as it is complete.
func TestTryReadWithPartsOfFrames(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s := newServer(t, secure, nil)
		for range 10 {
			all, ends := randomFrames(40)
			first := rand.IntN(200) * rand.IntN(2) // in the same segment as the handshake
			r, server := dialRaw(t, s, all[:min(first, len(all))])
			sent := min(first, len(all))
			l := keep(server)
			go func() { // the pongs
				buf := make([]byte, 4096)
				for {
					if _, err := r.in.Read(buf); err != nil {
						return
					}
				}
			}()
			for sent < len(all) {
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

// The same at the end that has dialed.
func TestTryReadOfTheClient(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s := newServer(t, secure, nil)
		client, server := s.pair(t, testLinger)
		l := keep(client)
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
}

// held is a connection of a TLS client that sends when the test lets it.
type held struct {
	net.Conn
	hold bool
	out  []byte
}

func (c *held) Write(p []byte) (int, error) {
	if c.hold {
		c.out = append(c.out, p...)
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// What arrived together with a message is found by TryRead, which returns false for the rest and never waits.
func TestTryReadFindsWhatHasCome(t *testing.T) {
	large := strings.Repeat("x", 20<<10)
	for name, c := range map[string]struct {
		send  []string // frames, each in a TLS record of its own
		found []string // behind the first message
		rest  string   // what completes the last message
		last  string
	}{
		"message and ping":        {send: []string{text("a"), ping}, rest: text("z"), last: "z"},
		"message and half header": {send: []string{text("a"), text("z")[:1]}, rest: text("z")[1:], last: "z"},
		"message and header":      {send: []string{text("a"), text("z")[:6]}, rest: text("z")[6:], last: "z"},
		"message and half a message": {send: []string{text("a"), text("0123456789")[:10]}, rest: text("0123456789")[10:],
			last: "0123456789"},
		"several messages": {send: []string{text("a"), text("b"), text(""), text("d")}, found: []string{"b", "", "d"},
			rest: text("z"), last: "z"},
		"fragments": {send: []string{text("a"), string(frame(0x01, "b")), ping, string(frame(0x00, "c")), string(frame(0x80, "d")),
			string(frame(0x01, "y"))}, found: []string{"bcd"}, rest: string(frame(0x80, "z")), last: "yz"},
		"a part of a large message": {send: []string{text("a"), text(large)[:300]}, rest: text(large)[300:], last: large},
	} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, TLS %v", name, secure), func(t *testing.T) {
				s := newServer(t, secure, nil)
				r, conn := dialRaw(t, s)
				if secure {
					recordsTogether(t, r, c.send)
				} else {
					r.send([]byte(strings.Join(c.send, "")))
				}
				if data, err := conn.Read(); err != nil || string(data) != "a" {
					t.Fatalf("%q, %v", data, err)
				}
				for _, want := range c.found {
					if data, ok, err := conn.TryRead(); !ok || err != nil || string(data) != want {
						t.Fatalf("%q, %v, %v; want %q", data, ok, err, want)
					}
				}
				for range 3 {
					if data, ok, err := conn.TryRead(); ok || err != nil {
						t.Fatalf("%q, %v, %v", data, ok, err)
					}
				}
				r.send([]byte(c.rest))
				if data, err := conn.Read(); err != nil || string(data) != c.last {
					t.Errorf("%.20q, %v", data, err)
				}
			})
		}
	}
}

var ping = string(frame(0x89, "ping"))

func text(s string) string { return string(frame(0x81, s)) }

// recordsTogether sends TLS records in one segment.
func recordsTogether(t *testing.T, r *raw, records []string) {
	t.Helper()
	h := r.Conn.(*tls.Conn).NetConn().(*held)
	h.hold = true
	for _, record := range records {
		r.send([]byte(record))
	}
	h.hold = false
	if _, err := h.Write(h.out); err != nil {
		t.Fatal(err)
	}
}

// dialTLS connects through a held connection.
func dialTLS(addr string, s *server) (net.Conn, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	config := s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.ServerName = "example.com"
	return tls.Client(&held{Conn: conn}, config), nil
}

// The close frame of the other side is left to Read, and what Read has returned is what TryRead returns.
func TestTryReadLeavesTheEndToRead(t *testing.T) {
	for name, c := range map[string]struct {
		send   string
		code   transport.CloseCode
		remote bool
	}{
		"close":          {text("a") + string(frame(0x88, "\x03\xe9")), transport.CloseGoingAway, true},
		"protocol error": {text("a") + string(frame(0x83, "")), transport.CloseProtocolError, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, false, &transport.AcceptOptions{Linger: testLinger})
			r, conn := dialRaw(t, s)
			r.send([]byte(c.send))
			if data, err := conn.Read(); err != nil || string(data) != "a" {
				t.Fatalf("%q, %v", data, err)
			}
			for range 2 {
				if data, ok, err := conn.TryRead(); ok || err != nil {
					t.Errorf("%q, %v, %v", data, ok, err)
				}
			}
			_, err := conn.Read()
			wantClosed(t, err, c.code, c.remote)
			_, _, again := conn.TryRead()
			wantClosed(t, again, c.code, c.remote)
		})
	}
}

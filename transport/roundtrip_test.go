package transport_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/transport"
)

// answering is a server that answers one request with some text, and reports when the client has hung up.
func answering(t *testing.T, answer func(key string) string) (url string, gone <-chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil { // TLS is not answered
			_, _ = io.WriteString(conn, answer(acceptKey(r.Header.Get("Sec-WebSocket-Key"))))
		}
		_, _ = io.Copy(io.Discard, conn)
	}()
	return "ws://" + l.Addr().String(), done
}

func switching(key string) string {
	return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + key + "\r\n\r\n"
}

// The settings of an http.Transport that bound an answer hold, and a dial that fails leaves no connection.
func TestDialBoundsTheAnswer(t *testing.T) {
	silence := func(string) string { return "" }
	for name, c := range map[string]struct {
		base   *http.Transport
		answer func(key string) string
		want   string // in the error; empty: none
	}{
		"interim answers": {answer: func(key string) string {
			return "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + switching(key)
		}},
		"interim answers without end": {answer: func(string) string { return strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100) }, want: "interim"},
		"long header": {base: &http.Transport{MaxResponseHeaderBytes: 1000},
			answer: func(key string) string {
				return strings.Replace(switching(key), "Upgrade", "X: "+strings.Repeat("x", 5000)+"\r\nUpgrade", 1)
			},
			want: "too long"},
		"no answer in time": {base: &http.Transport{ResponseHeaderTimeout: 20 * time.Millisecond}, answer: silence, want: "timeout"},
		"answer in time":    {base: &http.Transport{ResponseHeaderTimeout: 500 * time.Millisecond}, answer: switching},
		"not HTTP":          {answer: func(string) string { return "hello\r\n\r\n" }, want: "malformed"},
		"wrong key":         {answer: func(string) string { return switching("wrong") }, want: "Sec-WebSocket-Accept"},
		"body without end": {answer: func(string) string {
			return "HTTP/1.1 503 Full\r\nRetry-After: 7\r\n\r\n" + strings.Repeat("full\n", 500)
		}, want: "retry after 7s"},
		"body longer than a header may be": {base: &http.Transport{MaxResponseHeaderBytes: 100},
			answer: func(string) string {
				return "HTTP/1.1 503 Full\r\n\r\n" + strings.Repeat("\n", 500) + "full\n" + strings.Repeat("\n", 2000)
			},
			want: `"full"`},
	} {
		t.Run(name, func(t *testing.T) {
			url, gone := answering(t, c.answer)
			d := &transport.WebSocketDialer{}
			if c.base != nil {
				d.Client = &http.Client{Transport: c.base}
			}
			conn, err := d.Dial(t.Context(), url, nil)
			if c.want == "" && err == nil {
				time.AfterFunc(600*time.Millisecond, conn.Abort)
				if _, err := conn.Read(); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("the timeout of the answer ends the connection: %v", err)
				}
			} else if !errorHas(err, c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			<-gone
		})
	}
}

// The end of the context ends a dial that waits for an answer, or for the handshake of TLS.
func TestDialEndsWithItsContext(t *testing.T) {
	for _, scheme := range []string{"ws", "wss"} {
		url, gone := answering(t, func(string) string { return "" })
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		_, err := new(transport.WebSocketDialer).Dial(ctx, scheme+strings.TrimPrefix(url, "ws"), nil)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", scheme, err)
		}
		cancel()
		<-gone
	}
	url, gone := answering(t, func(string) string { return "" })
	d := &transport.WebSocketDialer{Client: &http.Client{Transport: &http.Transport{TLSHandshakeTimeout: 20 * time.Millisecond}}}
	if _, err := d.Dial(t.Context(), "wss"+strings.TrimPrefix(url, "ws"), nil); !errorHas(err, "TLS handshake") {
		t.Error(err)
	}
	<-gone
}

// Name, password and cookies of the user go along, across a redirect on the same host too, and TLS announces HTTP/1.1.
func TestDialSendsWhatTheClientSays(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s := newServer(t, secure, nil)
		inner := s.Config.Handler
		s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/there" {
				http.SetCookie(w, &http.Cookie{Name: "door", Value: "3"})
				http.Redirect(w, r, "/there", http.StatusTemporaryRedirect)
				return
			}
			user, password, _ := r.BasicAuth()
			if c, err := r.Cookie("door"); err != nil || c.Value != "3" || user != "anna" || password != "secret" {
				t.Errorf("%v, %v", err, r.Header)
			}
			if secure && r.TLS.NegotiatedProtocol != "http/1.1" {
				t.Errorf("protocol %q", r.TLS.NegotiatedProtocol)
			}
			inner.ServeHTTP(w, r)
		})
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		client := s.Client()
		client.Jar = jar
		to := strings.Replace(s.URL, "://", "://anna:secret@", 1)
		conn, err := (&transport.WebSocketDialer{Client: client}).Dial(t.Context(), to, nil)
		if err != nil {
			t.Fatal(err)
		}
		echo(t, conn, <-s.accepted)
	}
}

// A program's own way to TLS is used.
func TestDialKeepsUsersTLS(t *testing.T) {
	s := newServer(t, true, nil)
	config := s.Client().Transport.(*http.Transport).TLSClientConfig
	var used atomic.Int32
	dial := func(_ context.Context, network, addr string) (net.Conn, error) {
		used.Add(1)
		return tls.Dial(network, addr, config)
	}
	for name, base := range map[string]*http.Transport{
		"DialTLSContext": {DialTLSContext: dial},
		"DialTLS":        {DialTLS: func(network, addr string) (net.Conn, error) { return dial(t.Context(), network, addr) }},
	} {
		used.Store(0)
		conn, err := (&transport.WebSocketDialer{Client: &http.Client{Transport: base}}).Dial(t.Context(), s.URL, nil)
		if err != nil || used.Load() != 1 {
			t.Fatalf("%s: %v, used %d times", name, err, used.Load())
		}
		echo(t, conn, <-s.accepted)
	}
}

// Through a SOCKS proxy a handshake is made too.
func TestDialThroughSOCKS(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s := newServer(t, secure, nil)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 10)
			_, _ = io.ReadFull(conn, buf[:3]) // version, one method: none
			_, _ = conn.Write([]byte{5, 0})
			_, _ = io.ReadFull(conn, buf) // CONNECT to an IPv4 address
			_, _ = conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
			out, err := net.Dial("tcp", s.Listener.Addr().String())
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(out, conn); _ = out.Close() }()
			_, _ = io.Copy(conn, out)
			_ = conn.Close()
		}()
		base := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "socks5", Host: l.Addr().String()})}
		if secure {
			base.TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig
		}
		conn, err := (&transport.WebSocketDialer{Client: &http.Client{Transport: base}}).Dial(t.Context(), s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		echo(t, conn, <-s.accepted)
		_ = l.Close()
	}
}

// A dial costs no goroutine once it has returned, and what was dropped of the handshake closes nothing later.
func TestHandshakeLeavesNothing(t *testing.T) {
	s := newServer(t, false, nil)
	for range 3 {
		client, server := s.pair(t, testLinger)
		collect()
		echo(t, client, server)
	}
	refuse := httptest.NewServer(http.NotFoundHandler())
	defer refuse.Close()
	before := descriptors(t)
	for range 5 {
		_, err := new(transport.WebSocketDialer).Dial(t.Context(), refuse.URL, nil)
		wantStatus(t, err, http.StatusNotFound)
	}
	for range 500 {
		if descriptors(t) <= before+1 {
			return
		}
		<-time.After(time.Millisecond)
	}
	t.Errorf("%d file descriptors, %d before", descriptors(t), before)
}

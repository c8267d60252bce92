package transport_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/transport"
	"github.com/alkdev/hubspoke/transport/transporttest"
)

// server is an HTTP server whose handler accepts and returns at once.
type server struct {
	*httptest.Server
	accepted chan transport.Conn
}

func newServer(t testing.TB, secure bool, o *transport.AcceptOptions) *server {
	t.Helper()
	s := &server{accepted: make(chan transport.Conn, 1)}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := transport.Accept(w, r, o)
		if err == nil {
			s.accepted <- c
		}
	})
	if secure {
		s.Server = httptest.NewTLSServer(handler)
	} else {
		s.Server = httptest.NewServer(handler)
	}
	t.Cleanup(s.Close)
	return s
}

// pair connects to the server.
func (s *server) pair(t testing.TB, linger time.Duration) (client, server transport.Conn) {
	t.Helper()
	d := &transport.WebSocketDialer{Client: s.Client(), Linger: linger}
	client, err := d.Dial(context.Background(), "ws"+strings.TrimPrefix(s.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return client, <-s.accepted
}

const testLinger = 250 * time.Millisecond

func TestWebSocket(t *testing.T) {
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, secure, &transport.AcceptOptions{Linger: testLinger})
			transporttest.TestConn(t, func(t *testing.T) (client, server transport.Conn) {
				return s.pair(t, testLinger)
			})
		})
	}
}

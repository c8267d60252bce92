package transport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/transport"
)

// slowReader takes 1 KiB per second from the connection, once slow is closed, and nothing once stop is.
type slowReader struct {
	net.Conn
	slow, stop chan struct{}
}

func (c *slowReader) Read(p []byte) (int, error) {
	select {
	case <-c.slow:
	default:
		return c.Conn.Read(p)
	}
	select {
	case <-c.stop:
		<-time.After(time.Hour)
	case <-time.After(time.Second):
	}
	return c.Conn.Read(p[:min(len(p), 1<<10)])
}

// oneListener accepts one connection.
type oneListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l *oneListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *oneListener) Close() error   { close(l.done); return nil }
func (l *oneListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// A reader that takes 1 KiB per second is not cut off, however long a message takes it, at either end, over TLS or not; one
// that takes nothing is, after the write timeout.
func TestSlowReaderIsNotCutOff(t *testing.T) {
	certificate := httptest.NewUnstartedServer(nil)
	certificate.StartTLS()
	serverTLS, client := certificate.TLS.Clone(), certificate.Client()
	certificate.Close()
	for name, c := range map[string]struct{ secure, accepting bool }{
		"to the dialer": {}, "to the dialer over TLS": {secure: true},
		"to the acceptor": {accepting: true}, "to the acceptor over TLS": {secure: true, accepting: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				slow, stop := make(chan struct{}), make(chan struct{})
				near, far := net.Pipe()
				l := &oneListener{conns: make(chan net.Conn, 1), done: make(chan struct{})}
				if c.accepting {
					far = &slowReader{far, slow, stop}
				} else {
					near = &slowReader{near, slow, stop}
				}
				l.conns <- far
				accepted := make(chan transport.Conn, 1)
				srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					conn, err := transport.Accept(w, r, nil)
					if err != nil {
						t.Error(err)
					}
					accepted <- conn
				})}
				var listener net.Listener = l
				url := "ws://" + "example.com/"
				if c.secure {
					listener, url = tls.NewListener(l, serverTLS), "wss://"+"example.com/"
				}
				go func() { _ = srv.Serve(listener) }() // ends with the Close below
				base := client.Transport.(*http.Transport).Clone()
				base.DialContext = func(context.Context, string, string) (net.Conn, error) { return near, nil }
				d := &transport.WebSocketDialer{Client: &http.Client{Transport: base}}
				dialed, err := d.Dial(t.Context(), url, nil)
				if err != nil {
					t.Fatal(err)
				}
				writer, reader := <-accepted, dialed
				if c.accepting {
					writer, reader = reader, writer
				}
				go func() {
					for _, err := writer.Read(); err == nil; _, err = writer.Read() {
					}
				}()
				close(slow)
				const size = 150 << 10 // two and a half chunks of 64 KiB
				wrote := make(chan error, 1)
				start := time.Now()
				go func() { wrote <- writer.Write([][]byte{[]byte(strings.Repeat("x", size))}) }()
				if data, err := reader.Read(); err != nil || len(data) != size {
					t.Errorf("%d bytes, %v", len(data), err)
				}
				if err := <-wrote; err != nil || time.Since(start) < 149*time.Second {
					t.Errorf("%v after %v", err, time.Since(start))
				}
				go func() { _, _ = reader.Read() }() // to its end
				close(stop)
				<-time.After(2 * time.Second)
				start = time.Now()
				err = writer.Write([][]byte{[]byte(strings.Repeat("x", size))})
				if d := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || d < 29*time.Second || d > 38*time.Second {
					t.Errorf("%v after %v", err, d)
				}
				writer.Abort()
				reader.Abort()
				_ = srv.Close()
				<-time.After(2 * time.Hour)
			})
		})
	}
}

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

// slowReader takes that many bytes per second from the connection, once slow is closed, and nothing once stop is.
type slowReader struct {
	net.Conn
	rate       int
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
	default:
	}
	n, err := c.Conn.Read(p[:min(len(p), 1<<10)])
	<-time.After(time.Duration(n) * time.Second / time.Duration(c.rate))
	return n, err
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

// slowPair joins a WebSocket over a pipe of which the reader takes that many bytes per second from now on, and nothing once stop is
// closed. The writer is the end that accepted, or the one that dialed if accepting is set; a config makes it TLS. end frees what is left.
func slowPair(t *testing.T, rate int, config *tls.Config, client *http.Client, accepting bool) (writer, reader transport.Conn, stop chan struct{}, end func()) {
	t.Helper()
	slow, stop := make(chan struct{}), make(chan struct{})
	near, far := net.Pipe()
	l := &oneListener{conns: make(chan net.Conn, 1), done: make(chan struct{})}
	if accepting {
		far = &slowReader{far, rate, slow, stop}
	} else {
		near = &slowReader{near, rate, slow, stop}
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
	if config != nil {
		listener, url = tls.NewListener(l, config), "wss://"+"example.com/"
	}
	go func() { _ = srv.Serve(listener) }() // ends with the Close below
	base := client.Transport.(*http.Transport).Clone()
	base.DialContext = func(context.Context, string, string) (net.Conn, error) { return near, nil }
	d := &transport.WebSocketDialer{Client: &http.Client{Transport: base}}
	dialed, err := d.Dial(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	writer, reader = <-accepted, dialed
	if accepting {
		writer, reader = reader, writer
	}
	close(slow)
	return writer, reader, stop, func() {
		writer.Abort()
		reader.Abort()
		_ = srv.Close()
		<-time.After(2 * time.Hour)
	}
}

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
				config := serverTLS
				if !c.secure {
					config = nil
				}
				writer, reader, stop, end := slowPair(t, 1<<10, config, client, c.accepting)
				defer end()
				go func() {
					for _, err := writer.Read(); err == nil; _, err = writer.Read() {
					}
				}()
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
				err := writer.Write([][]byte{[]byte(strings.Repeat("x", size))})
				if d := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || d < 29*time.Second || d > 38*time.Second {
					t.Errorf("%v after %v", err, d)
				}
			})
		})
	}
}

// A close frame behind data on a slow link arrives, and Close waits for the answer as long as bytes flow, at most for the
// write timeout. A link that is stuck ends soon.
func TestCloseBehindDataOnSlowLink(t *testing.T) {
	certificate := httptest.NewUnstartedServer(nil)
	certificate.StartTLS()
	serverTLS, client := certificate.TLS.Clone(), certificate.Client()
	certificate.Close()
	for name, c := range map[string]struct {
		secure, accepting, stuck bool
		size, rate               int           // rate 0: 1 KiB per second
		least, most              time.Duration // until the end that closes has ended
		arrives                  bool
	}{
		"to the dialer":            {size: 20 << 10, least: 19 * time.Second, most: 22 * time.Second, arrives: true},
		"to the acceptor":          {size: 20 << 10, accepting: true, least: 19 * time.Second, most: 22 * time.Second, arrives: true},
		"to the dialer over TLS":   {size: 320 << 10, rate: 16 << 10, secure: true, least: 19 * time.Second, most: 22 * time.Second, arrives: true},
		"to the acceptor over TLS": {size: 20 << 10, accepting: true, secure: true, least: 19 * time.Second, most: 22 * time.Second, arrives: true},
		"too much":                 {size: 100 << 10, least: 30 * time.Second, most: 30 * time.Second},
		"stuck":                    {size: 20 << 10, stuck: true, least: time.Second, most: 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				config := serverTLS
				if !c.secure {
					config = nil
				}
				writer, reader, stop, end := slowPair(t, max(c.rate, 1<<10), config, client, c.accepting)
				defer end()
				go func() { _ = writer.Write([][]byte{[]byte(strings.Repeat("x", c.size))}) }() // ends with the connection
				<-time.After(100 * time.Millisecond)
				if c.stuck {
					close(stop)
				}
				start := time.Now()
				writer.Close(transport.CloseLeft, "leaving")
				read := make(chan error, 1)
				go func() {
					for {
						if _, err := reader.Read(); err != nil {
							read <- err
							return
						}
					}
				}()
				_, err := writer.Read()
				if d := time.Since(start); d < c.least || d > c.most {
					t.Errorf("%v after %v", err, d)
				}
				if ce, ok := errors.AsType[*transport.CloseError](err); !ok || ce.Code != transport.CloseLeft || ce.Remote {
					t.Error(err)
				}
				if !c.arrives {
					return
				}
				err = <-read
				if ce, ok := errors.AsType[*transport.CloseError](err); !ok || ce.Code != transport.CloseLeft || !ce.Remote {
					t.Errorf("the other end: %v", err)
				}
			})
		})
	}
}

// An end that has closed waits for the answer while data comes, and not for ever.
func TestCloseBehindDataOfTheOtherSide(t *testing.T) {
	for name, c := range map[string]struct {
		size int
		want time.Duration
	}{"answered": {160 << 10, 10 * time.Second}, "never answered": {1 << 20, 30 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				a, b := transport.Pipe(&transport.PipeOptions{BytesPerSecondToA: 16 << 10})
				go func() { _ = b.Write([][]byte{[]byte(strings.Repeat("x", c.size))}) }() // ends with the connection
				<-time.After(100 * time.Millisecond)
				go func() {
					for _, err := b.Read(); err == nil; _, err = b.Read() {
					}
				}()
				start := time.Now()
				a.Close(transport.CloseLeft, "leaving")
				_, err := a.Read()
				if ce, ok := errors.AsType[*transport.CloseError](err); !ok || ce.Remote || time.Since(start).Round(time.Second) != c.want {
					t.Errorf("%v after %v", err, time.Since(start))
				}
			})
		})
	}
}

package gateway_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/gateway"
	"github.com/alkdev/hubspoke/internal/bubble"
)

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

// A client that takes 1 KiB of its answer per second gets all of it, however long that takes.
func TestAnswerToSlowReader(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const size = 200 << 10
		h, err := hub.New(&hub.Options{AllowAnonymous: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := call.Handle(h.Operations(), call.Operation{Name: "test.big"}, func(context.Context, any) (string, error) { return strings.Repeat("x", size), nil }); err != nil {
			t.Fatal(err)
		}
		g, err := gateway.New(h, nil)
		if err != nil {
			t.Fatal(err)
		}
		near, far := net.Pipe()
		l := &oneListener{conns: make(chan net.Conn, 1), done: make(chan struct{})}
		l.conns <- far
		srv := &http.Server{Handler: g, ReadHeaderTimeout: time.Minute}
		go func() { _ = srv.Serve(l) }() // ends with the Close below
		if _, err := io.WriteString(near, "POST /call/test.big HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		got, buf := 0, make([]byte, 1<<10)
		for err == nil {
			var n int
			n, err = near.Read(buf)
			got += n
			<-time.After(time.Duration(n) * time.Second / (1 << 10))
		}
		if !errors.Is(err, io.EOF) || got < size {
			t.Errorf("%d bytes, %v", got, err)
		}
		_ = near.Close()
		_ = srv.Close()
		h.Close()
		if err := h.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

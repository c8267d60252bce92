// Package wsraw is the floor of the measurements: plain github.com/coder/websocket and nothing around it, as
// anyone would write it who knows exactly two message shapes. It has no deadlines, no sessions, no registry, no
// bounds and no reconnecting. What it does have is done carefully: buffers are used again, contexts have no
// Done (the library registers a function for each frame otherwise), and calls are told apart by package slots.
//
// In W1 the server calls the client. In W2 a router copies messages from the caller to the callee and back. In W3
// each publish is written to one connection after the other, in order. In W4 and W6 a client sends a registration
// of a few bytes and is answered.
package wsraw

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/coder/websocket"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/loopback"
)

// Name is how it stands in the tables.
const Name = "ws-raw (coder)"

// Contender is the floor.
func Contender() contender.Contender {
	return contender.Contender{Name: Name, Call: Call, Route: Route, Serve: Serve, Dial: Dial}
}

// readLimit is above what any measurement sends.
const readLimit = 1 << 20

// background is the context of all reads and writes; connections end by being closed.
var background = context.Background()

// Server is an HTTP server that hands out the WebSockets that it accepts.
type Server struct {
	http     *loopback.Server
	setup    contender.Setup
	accepted chan *websocket.Conn
}

// Listen starts a server.
func Listen(s contender.Setup) (*Server, error) {
	srv := &Server{setup: s, accepted: make(chan *websocket.Conn)}
	var err error
	srv.http, err = loopback.Serve(s, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := accept(w, r); c != nil {
			srv.accepted <- c
		}
	}))
	return srv, err
}

// accept upgrades a request; nil says that it could not, which the library has answered.
func accept(w http.ResponseWriter, r *http.Request) *websocket.Conn {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return nil
	}
	c.SetReadLimit(readLimit)
	return c
}

// Connect dials the server and gives both ends. It is not for concurrent use.
func (s *Server) Connect() (server, client *websocket.Conn, err error) {
	type dialled struct {
		conn *websocket.Conn
		err  error
	}
	done := make(chan dialled, 1)
	go func() {
		c, err := dial(background, s.setup, s.http.Addr())
		done <- dialled{c, err}
	}()
	// The accepted end comes before or after the dialled one, and not at all when dialling fails.
	for {
		select {
		case server = <-s.accepted:
			if client != nil {
				return server, client, nil
			}
		case d := <-done:
			if d.err != nil {
				return nil, nil, d.err
			}
			if client = d.conn; server != nil {
				return server, client, nil
			}
		}
	}
}

// Close stops listening.
func (s *Server) Close() error { return s.http.Close() }

func dial(ctx context.Context, s contender.Setup, addr string) (*websocket.Conn, error) {
	client, err := loopback.Client(s)
	if err != nil {
		return nil, err
	}
	c, _, err := websocket.Dial(ctx, loopback.URL(s, addr), &websocket.DialOptions{HTTPClient: client}) //nolint:bodyclose // the library closes it
	if err != nil {
		return nil, fmt.Errorf("wsraw: %w", err)
	}
	c.SetReadLimit(readLimit)
	return c, nil
}

// Read reads one message into buf, which grows where it must.
func Read(c *websocket.Conn, buf []byte) ([]byte, error) {
	_, r, err := c.Reader(background)
	if err != nil {
		return buf, err
	}
	for buf = buf[:0]; ; {
		if len(buf) == cap(buf) {
			buf = append(buf, make([]byte, max(128, cap(buf)))...)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
}

// Write writes one message.
func Write(c *websocket.Conn, frame []byte) error {
	return c.Write(background, websocket.MessageBinary, frame)
}

// Copy writes each message of one connection to another, or back to itself, until one of them ends.
func Copy(from, to *websocket.Conn) {
	var buf []byte
	for {
		var err error
		if buf, err = Read(from, buf); err != nil {
			return
		}
		if err := Write(to, buf); err != nil {
			return
		}
	}
}

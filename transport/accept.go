//go:build !js

package transport

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/alkdev/hubspoke/internal/origin"
)

// AcceptOptions tunes Accept. The zero value is usable. Accept does not change
// it and keeps nothing of it.
type AcceptOptions struct {
	// Subprotocols are those that this side speaks, best first; the first that
	// the client offers too is selected. Empty: none is.
	Subprotocols []string
	// OriginPatterns are the origins from which browsers may connect besides
	// the host itself: patterns of path.Match on the host and port, or on
	// scheme://host where they contain "://", without regard to case. A port that is missing is the
	// default of the scheme. "*" alone allows every origin, as AnyOrigin does.
	OriginPatterns []string
	// AnyOrigin lets browsers connect from everywhere.
	AnyOrigin bool
	// MaxMessageBytes is the largest message that this side announces to take;
	// the limit in force is 64 KiB higher (protocol section 2). 0 means 1 MiB.
	MaxMessageBytes int64
	// WriteTimeout is for how long the system may accept no byte of a write before the connection is
	// dropped; the whole write may take longer. The end that accepts cannot see the connection beneath
	// TLS: there it is the time within which the system must accept 16 KiB, or 4 KiB once that has taken
	// a second. 0 means 30 s.
	WriteTimeout time.Duration
	// Linger is for how long no byte may flow, in either direction, while Close waits for the other
	// side's answer. Data that was written before delays the close frame; in all Close waits at most
	// WriteTimeout. 0 means 1 s.
	Linger time.Duration
}

// Validate reports the first thing that is wrong with the options: a negative
// size or time, a subprotocol that is no HTTP token, a malformed pattern. nil is
// valid.
func (o *AcceptOptions) Validate() error {
	if o == nil {
		return nil
	}
	_, _, err := o.parse()
	return err
}

// parse returns what the options stand for, or the first thing that is wrong with them.
func (o *AcceptOptions) parse() (limits, origin.Policy, error) {
	lim, err := parseLimits(o.MaxMessageBytes, o.WriteTimeout, o.Linger, o.Subprotocols)
	if err != nil {
		return limits{}, origin.Policy{}, err
	}
	allowed, err := origin.New(o.OriginPatterns)
	if err != nil {
		return limits{}, origin.Policy{}, fmt.Errorf("transport: option OriginPatterns: %w", err)
	}
	if o.AnyOrigin {
		allowed = origin.Anything
	}
	return lim, allowed, nil
}

// Accept upgrades an HTTP request to a WebSocket (RFC 6455 section 4.2). If it
// fails it has answered the request, with 403 for an origin that is not
// allowed and 500 for options that are not valid. The Conn outlives the HTTP
// handler: return from it, so that its stack and buffers go, and read in
// another goroutine. It works with every ResponseWriter that
// http.ResponseController can hijack.
func Accept(w http.ResponseWriter, r *http.Request, o *AcceptOptions) (Conn, error) {
	if o == nil {
		o = &AcceptOptions{}
	}
	lim, allowed, err := o.parse()
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return nil, err
	}
	if IsHandshake(r) { // the library answers everything else
		if _, err := allowed.Check(r); err != nil {
			http.Error(w, http.StatusText(http.StatusForbidden), http.StatusForbidden)
			return nil, fmt.Errorf("transport: %w", err)
		}
	}
	ours := &hijackWriter{ResponseWriter: w}
	if canHijack(w) {
		w = ours // otherwise the library finds the right answer itself
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       o.Subprotocols,
		InsecureSkipVerify: true, // the origin has been checked
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	_ = ws.CloseNow() // frees its state
	c := newWebSocket(paceConn(ours.conn, lim.writeTimeout), r.RemoteAddr, false, lim, ours.ahead)
	return c, nil
}

// IsHandshake reports whether a request is a WebSocket handshake.
func IsHandshake(r *http.Request) bool {
	for _, line := range r.Header.Values("Upgrade") {
		for token := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(token), "websocket") {
				return true
			}
		}
	}
	return false
}

// canHijack looks for a Hijacker where http.ResponseController does.
func canHijack(w http.ResponseWriter) bool {
	for {
		if _, ok := w.(http.Hijacker); ok {
			return true
		}
		outer, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return false
		}
		w = outer.Unwrap()
	}
}

// hijackWriter keeps the network connection. The library writes the answer of the handshake, and gets
// a connection that its finalizer may close.
type hijackWriter struct {
	http.ResponseWriter
	conn  net.Conn // set by Hijack
	ahead []byte   // bytes that were read behind the request
}

// Hijack implements http.Hijacker.
func (h *hijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	ahead, _ := rw.Reader.Peek(rw.Reader.Buffered())
	h.conn, h.ahead = conn, bytes.Clone(ahead)
	return unusedConn{conn}, rw, nil
}

// WriteHeaderNow passes on a method of gin's that the library looks for.
func (h *hijackWriter) WriteHeaderNow() {
	if gin, ok := h.ResponseWriter.(interface{ WriteHeaderNow() }); ok {
		gin.WriteHeaderNow()
	}
}

// unusedConn is the connection that the library gets: it may close it.
type unusedConn struct{ net.Conn }

func (unusedConn) Close() error { return nil }

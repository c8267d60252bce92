package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	neturl "net/url"
	"time"

	"github.com/coder/websocket"

	"github.com/alkdev/hubspoke/internal/redact"
)

// WebSocketDialer dials ws, wss, http and https URLs. The zero value is usable;
// it may be used concurrently and must not be changed meanwhile.
type WebSocketDialer struct {
	// Client makes the handshake request: proxy, TLS, cookies, redirects and the
	// timeout of the handshake are its own. An *http.Transport in it is cloned
	// for each Dial, without HTTP/2 and keep-alive; any other
	// RoundTripper is used as it is, and must return a writable body whose
	// Close unblocks its Read and Write. nil means http.DefaultTransport.
	Client *http.Client
	// Subprotocols are offered to the server, best first. Empty: none.
	Subprotocols []string
	// MaxMessageBytes is the largest message that this side announces to take;
	// the limit in force is 64 KiB higher (protocol section 2). 0 means 1 MiB.
	MaxMessageBytes int64
	// WriteTimeout is how long the other side may take for a chunk of at most
	// 64 KiB before the connection is dropped. 0 means 30 s.
	WriteTimeout time.Duration
	// Linger is how long Close waits for the other side's answer. 0 means 1 s.
	Linger time.Duration
}

var _ Dialer = (*WebSocketDialer)(nil)

// Validate reports the first thing that is wrong with the options: a negative
// size or time, a subprotocol that is no HTTP token.
func (d *WebSocketDialer) Validate() error {
	if _, err := newLimits(d.MaxMessageBytes, d.WriteTimeout, d.Linger); err != nil {
		return fmt.Errorf("transport: %w", err)
	}
	return validSubprotocols(d.Subprotocols)
}

// Dial connects; see Dialer. Besides *HandshakeError it returns the errors of
// the HTTP client, of ctx and of Validate. Their texts show no user info and no query of a URL.
func (d *WebSocketDialer) Dial(ctx context.Context, url string, header http.Header) (Conn, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	if err := ValidURL(url); err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	lim, err := newLimits(d.MaxMessageBytes, d.WriteTimeout, d.Linger)
	if err != nil {
		return nil, err // not reached: Validate has reported it
	}
	var client http.Client
	if d.Client != nil {
		client = *d.Client
	}
	up := &upgrader{base: client.Transport, limits: lim, credentials: header.Get("Authorization") != ""}
	client.Transport = up
	ws, resp, err := websocket.Dial(ctx, url, &websocket.DialOptions{
		HTTPClient:      &client,
		HTTPHeader:      header,
		Subprotocols:    d.Subprotocols,
		CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil && resp != nil {
		return nil, newHandshakeError(resp, up.redirect, err)
	}
	if err != nil {
		return nil, fmt.Errorf("transport: %w", redact.Error(err))
	}
	return newSocket(ws, up.link, up.remote), nil
}

// ValidURL reports why a Dialer of WebSockets would not take a URL: it does not parse, names no host, or its scheme is
// not ws, wss, http or https. nil is valid. The error shows nothing that may be a secret.
func ValidURL(raw string) error {
	u, err := neturl.Parse(raw)
	switch {
	case err != nil:
		return errors.New("not a valid URL (it is not shown, since it may contain a password)")
	case u.Scheme != "ws" && u.Scheme != "wss" && u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("URL %q: the scheme must be ws, wss, http or https", redact.URL(raw))
	case u.Hostname() == "":
		return fmt.Errorf("URL %q names no host", redact.URL(raw))
	}
	return nil
}

// upgrader puts our link between the library and the body of the response that
// switches protocols, which is the connection.
type upgrader struct {
	base        http.RoundTripper
	limits      limits
	credentials bool // the request of the caller has some

	link     *link // of the last upgrade
	remote   string
	redirect string // the host of the last request, if the credentials were dropped on the way to it
}

// RoundTrip implements http.RoundTripper.
func (u *upgrader) RoundTrip(req *http.Request) (*http.Response, error) {
	u.redirect = ""
	if u.credentials && req.Header.Get("Authorization") == "" {
		u.redirect = req.URL.Host
	}
	base, err := dialTransport(u.base, req)
	if err != nil {
		return nil, err
	}
	var conn net.Conn // for deadlines; the body is the way in and out
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { conn = info.Conn }}
	resp, err := base.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		return resp, err
	}
	stream, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		return resp, nil // the library reports what is wrong
	}
	u.remote = req.URL.Host
	if conn != nil {
		u.remote = conn.RemoteAddr().String()
	}
	u.link = newLink(stream, conn, true, u.limits)
	resp.Body = u.link
	return resp, nil
}

// dialTransport makes a RoundTripper for one handshake request.
func dialTransport(base http.RoundTripper, req *http.Request) (http.RoundTripper, error) {
	if base == nil {
		base = http.DefaultTransport
	}
	shared, ok := base.(*http.Transport)
	if !ok {
		return base, nil
	}
	t := shared.Clone()
	t.DisableKeepAlives = true
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	dial := t.DialContext
	//lint:ignore SA1019 a Dial that the user has set must continue to work
	old := t.Dial
	if dial == nil && old != nil {
		dial = func(_ context.Context, network, addr string) (net.Conn, error) { return old(network, addr) }
	}
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	dial, err := throughProxy(t, req, dial)
	if err != nil {
		return nil, err
	}
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return newWire(conn, nil, nil), nil
	}
	return t, nil
}

//go:build !js

package transport

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"time"

	"github.com/coder/websocket"

	"github.com/alkdev/hubspoke/internal/redact"
)

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
	base, err := dialTransport(u.base, req, u.limits.writeTimeout)
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

// dialTransport makes a RoundTripper for one handshake request, whose connection has the timeout for writes.
func dialTransport(base http.RoundTripper, req *http.Request, timeout time.Duration) (http.RoundTripper, error) {
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
		return newWire(conn, nil, nil, timeout), nil
	}
	return t, nil
}

//go:build !js

package transport

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/coder/websocket"

	"github.com/alkdev/hubspoke/internal/redact"
)

// Dial connects; see Dialer. Besides *HandshakeError it returns the errors of
// the HTTP client, of ctx and of Validate. Their texts show no user info and no query of a URL.
func (d *WebSocketDialer) Dial(ctx context.Context, url string, header http.Header) (Conn, error) {
	lim, err := d.parse()
	if err != nil {
		return nil, err
	}
	if err := ValidURL(url); err != nil {
		return nil, fmt.Errorf("transport: %w", err)
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
	up.body.taken = true
	_ = ws.CloseNow() // frees its buffers
	return up.conn, nil
}

// upgrader makes the handshake request of the library, and keeps the connection that becomes a WebSocket. The
// library gets a body that does nothing.
type upgrader struct {
	base        http.RoundTripper
	limits      limits
	credentials bool // the request of the caller has some

	conn     *webSocket    // of the last request
	body     *upgradedBody // that the library has instead of it
	redirect string        // the host of the last request, if the credentials were dropped on the way to it
}

// RoundTrip implements http.RoundTripper.
func (u *upgrader) RoundTrip(req *http.Request) (*http.Response, error) {
	u.redirect = ""
	if u.credentials && req.Header.Get("Authorization") == "" {
		u.redirect = req.URL.Host
	}
	base := u.base
	if base == nil {
		base = http.DefaultTransport
	}
	if t, ok := base.(*http.Transport); ok {
		route, err := newRoute(t, req)
		if err != nil {
			return nil, err
		}
		if route != nil {
			return u.request(route, req)
		}
		base = singleUse(t)
	}
	resp, err := base.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		return resp, err
	}
	body, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		return resp, nil // the library reports what is wrong
	}
	u.upgraded(resp, body, newBodyWebSocket(body, req.URL.Host, u.limits))
	return resp, nil
}

// request dials, sends the request and reads the answer.
func (u *upgrader) request(route *route, req *http.Request) (*http.Response, error) {
	conn, err := route.dial(req.Context(), u.limits.writeTimeout)
	if err != nil {
		return nil, err
	}
	resp, ahead, err := roundTrip(req.Context(), conn, req, route.transport)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		u.upgraded(resp, conn, newWebSocket(conn, conn.RemoteAddr().String(), true, u.limits, ahead))
	}
	return resp, nil
}

func (u *upgrader) upgraded(resp *http.Response, stream io.Closer, conn *webSocket) {
	u.conn, u.body = conn, &upgradedBody{stream: stream}
	resp.Body = u.body
}

// upgradedBody is the body of a response that switches protocols, as the library gets it.
type upgradedBody struct {
	stream io.Closer
	taken  bool // the handshake has succeeded, and the stream is ours
}

func (*upgradedBody) Read([]byte) (int, error)  { return 0, io.EOF }
func (*upgradedBody) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func (b *upgradedBody) Close() error {
	if b.taken {
		return nil
	}
	return b.stream.Close()
}

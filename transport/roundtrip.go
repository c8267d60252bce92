//go:build !js

package transport

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// A handshake is one request on a connection of its own, which then becomes a WebSocket. An http.Transport
// needs two goroutines, two buffers and a copy of itself for that; here its settings are followed without it.

// route is how to reach the host of a request.
type route struct {
	transport *http.Transport // whose settings are followed
	url       *url.URL
	proxy     *url.URL // an HTTP proxy; nil: none
}

// newRoute returns nil for a request that only the http.Transport itself can make.
func newRoute(t *http.Transport, req *http.Request) (*route, error) {
	//lint:ignore SA1019 a DialTLS that the user has set must continue to work
	if t.DialTLS != nil || strings.ContainsFunc(req.URL.Host, func(r rune) bool { return r > 0x7e }) {
		return nil, nil
	}
	r := &route{transport: t, url: req.URL}
	if t.Proxy == nil {
		return r, nil
	}
	proxy, err := t.Proxy(req)
	if err != nil {
		return nil, err
	}
	if proxy != nil && proxy.Scheme != "http" && proxy.Scheme != "https" {
		return nil, nil // SOCKS
	}
	r.proxy = proxy
	return r, nil
}

// singleUse returns a copy of the http.Transport for one request of HTTP/1.1.
func singleUse(t *http.Transport) *http.Transport {
	t = t.Clone()
	t.DisableKeepAlives = true
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	return t
}

// dial connects to the host, with TLS if the URL is https. Writes to the connection have the timeout, unless
// the user's own DialTLSContext made it.
func (r *route) dial(ctx context.Context, timeout time.Duration) (net.Conn, error) {
	if r.proxy != nil {
		return r.dialThroughProxy(ctx, timeout)
	}
	if r.url.Scheme == "https" && r.transport.DialTLSContext != nil {
		return r.transport.DialTLSContext(ctx, "tcp", hostPort(r.url))
	}
	conn, err := r.dialNetwork(ctx, hostPort(r.url), timeout)
	if err != nil || r.url.Scheme == "http" {
		return conn, err
	}
	return r.startTLS(ctx, conn, r.url.Hostname(), "http/1.1")
}

func (r *route) dialNetwork(ctx context.Context, addr string, timeout time.Duration) (net.Conn, error) {
	dial := r.transport.DialContext
	//lint:ignore SA1019 a Dial that the user has set must continue to work
	if old := r.transport.Dial; dial == nil && old != nil {
		dial = func(_ context.Context, network, addr string) (net.Conn, error) { return old(network, addr) }
	}
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return paceConn(conn, timeout), nil
}

// startTLS makes the TLS handshake on conn, which it closes if that fails.
func (r *route) startTLS(ctx context.Context, conn net.Conn, host string, protocols ...string) (net.Conn, error) {
	config := &tls.Config{} //nolint:gosec // the default is TLS 1.2
	if r.transport.TLSClientConfig != nil {
		config = r.transport.TLSClientConfig.Clone()
	}
	config.NextProtos = protocols
	if config.ServerName == "" {
		config.ServerName = host
	}
	if timeout := r.transport.TLSHandshakeTimeout; timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		hangUp(conn)
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return secure, nil
}

// hostPort is the address of a URL's host.
func hostPort(u *url.URL) string {
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// The bounds of an http.Transport.
const (
	maxAnswerBytes   = 10 << 20
	maxInterimAnswer = 5
)

var errLongAnswer = errors.New("the header of the answer is too long")

// roundTrip sends a request on conn and reads the header of the answer; ahead are the bytes behind the header
// of an answer that switches protocols. The body of any other answer owns conn. The end of ctx ends
// the exchange.
func roundTrip(ctx context.Context, conn net.Conn, req *http.Request, t *http.Transport) (resp *http.Response, ahead []byte, err error) {
	stop := context.AfterFunc(ctx, func() { _ = lowest(conn).Close() })
	if t.ResponseHeaderTimeout > 0 {
		_ = conn.SetReadDeadline(time.Now().Add(t.ResponseHeaderTimeout)) // if it fails, so does the exchange
	}
	limit := t.MaxResponseHeaderBytes
	if limit <= 0 {
		limit = maxAnswerBytes
	}
	in := getAnswerReader(conn, limit)
	resp, err = exchange(conn, in, req)
	if err != nil {
		if !stop() {
			err = context.Cause(ctx)
		}
		hangUp(conn)
		return nil, nil, err
	}
	if t.ResponseHeaderTimeout > 0 {
		_ = conn.SetReadDeadline(time.Time{})
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		in.limited.N = math.MaxInt64
		resp.Body = &answerBody{resp.Body, conn, stop}
		return resp, nil, nil
	}
	if !stop() {
		hangUp(conn)
		return nil, nil, context.Cause(ctx)
	}
	ahead, _ = in.Peek(in.Buffered())
	ahead = bytes.Clone(ahead)
	in.put()
	return resp, ahead, nil
}

// exchange sends a request and reads the header of the answer.
func exchange(conn net.Conn, in *answerReader, req *http.Request) (*http.Response, error) {
	var out bytes.Buffer
	if err := req.Write(&out); err != nil {
		return nil, err
	}
	if _, err := conn.Write(out.Bytes()); err != nil {
		return nil, err
	}
	for range maxInterimAnswer {
		resp, err := http.ReadResponse(in.Reader, req)
		if err != nil && in.limited.N <= 0 {
			err = errLongAnswer
		}
		if err != nil {
			return nil, err
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, nil
		}
	}
	return nil, errors.New("too many interim answers")
}

// answerReader reads the header of an answer.
type answerReader struct {
	*bufio.Reader
	limited io.LimitedReader
}

var answerReaders = sync.Pool{New: func() any { return &answerReader{Reader: bufio.NewReader(nil)} }}

func getAnswerReader(conn net.Conn, limit int64) *answerReader {
	r := answerReaders.Get().(*answerReader)
	r.limited = io.LimitedReader{R: conn, N: limit}
	r.Reset(&r.limited)
	return r
}

func (r *answerReader) put() {
	r.limited.R = nil
	answerReaders.Put(r)
}

// answerBody is the body of an answer, with its connection.
type answerBody struct {
	io.ReadCloser
	conn net.Conn
	stop func() bool // ends the watch of the context
}

// Close does not close the body, which would read it to its end.
func (b *answerBody) Close() error {
	b.stop()
	hangUp(b.conn)
	return nil
}

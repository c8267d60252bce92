package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
)

// dialFunc is the type of http.Transport.DialContext.
type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// throughProxy returns how to dial the host of a handshake. To an http URL an http.Transport would send
// the request by way of an HTTP proxy as if it asked for a page, and most proxies drop the upgrade from
// it. RFC 6455 section 4.1 asks for CONNECT, as the http.Transport itself does for https URLs, and with a
// SOCKS proxy there is no difference: both are left to it.
func throughProxy(t *http.Transport, req *http.Request, dial dialFunc) (dialFunc, error) {
	if t.Proxy == nil || req.URL.Scheme != "http" {
		return dial, nil
	}
	proxy, err := t.Proxy(req)
	if err != nil {
		return nil, err
	}
	t.Proxy = nil
	if proxy == nil {
		return dial, nil
	}
	if proxy.Scheme != "http" && proxy.Scheme != "https" {
		t.Proxy = http.ProxyURL(proxy)
		return dial, nil
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialProxy(ctx, t, proxy, dial)
		if err != nil {
			return nil, fmt.Errorf("proxy %s: %w", proxy.Host, err)
		}
		if err := connect(ctx, conn, t, proxy, addr); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("proxy %s: %w", proxy.Host, err)
		}
		return conn, nil
	}, nil
}

func dialProxy(ctx context.Context, t *http.Transport, proxy *url.URL, dial dialFunc) (net.Conn, error) {
	port := proxy.Port()
	if port == "" {
		port = proxy.Scheme // net knows the ports of http and https by name
	}
	conn, err := dial(ctx, "tcp", net.JoinHostPort(proxy.Hostname(), port))
	if err != nil || proxy.Scheme == "http" {
		return conn, err
	}
	config := &tls.Config{}
	if t.TLSClientConfig != nil {
		config = t.TLSClientConfig.Clone()
	}
	config.NextProtos = nil
	if config.ServerName == "" {
		config.ServerName = proxy.Hostname()
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

// maxProxyAnswer bounds the answer to a CONNECT.
const maxProxyAnswer = 64 << 10

// connect asks the proxy for a tunnel to addr. The end of ctx ends it.
func connect(ctx context.Context, conn net.Conn, t *http.Transport, proxy *url.URL, addr string) error {
	header := t.ProxyConnectHeader
	if t.GetProxyConnectHeader != nil {
		var err error
		if header, err = t.GetProxyConnectHeader(ctx, proxy, addr); err != nil {
			return err
		}
	}
	if header = header.Clone(); header == nil {
		header = http.Header{}
	}
	if u := proxy.User; u != nil && header.Get("Proxy-Authorization") == "" {
		password, _ := u.Password()
		basic := base64.StdEncoding.EncodeToString([]byte(u.Username() + ":" + password))
		header.Set("Proxy-Authorization", "Basic "+basic)
	}
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: addr, Header: header}

	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	resp, ahead, err := exchange(conn, req)
	if !stop() {
		return context.Cause(ctx)
	}
	switch {
	case err != nil:
		return fmt.Errorf("CONNECT: %w", err)
	case resp.StatusCode/100 != 2:
		return fmt.Errorf("CONNECT refused with %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	case ahead > 0:
		return errors.New("CONNECT: the proxy sent more than its answer")
	}
	return nil
}

// exchange sends the request and reads the answer's header. ahead is how many bytes of what follows the
// header were read too.
func exchange(conn net.Conn, req *http.Request) (resp *http.Response, ahead int, err error) {
	if err := req.Write(conn); err != nil {
		return nil, 0, err
	}
	r := bufio.NewReader(io.LimitReader(conn, maxProxyAnswer))
	if resp, err = http.ReadResponse(r, req); err != nil {
		return nil, 0, err
	}
	return resp, r.Buffered(), nil // the body is not closed, which would read it to its end: the connection is
}

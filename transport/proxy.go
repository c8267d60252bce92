//go:build !js

package transport

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// dialThroughProxy connects to the host through an HTTP proxy. It asks for a tunnel with CONNECT for
// ws URLs too, as RFC 6455 section 4.1 requires: most proxies drop the upgrade from a request that
// asks for a page.
func (r *route) dialThroughProxy(ctx context.Context, timeout time.Duration) (net.Conn, error) {
	conn, err := r.dialNetwork(ctx, hostPort(r.proxy), timeout)
	if err == nil && r.proxy.Scheme == "https" {
		conn, err = r.startTLS(ctx, conn, r.proxy.Hostname())
	}
	if err == nil {
		err = r.connect(ctx, conn)
	}
	if err != nil {
		return nil, fmt.Errorf("proxy %s: %w", r.proxy.Host, err)
	}
	if r.url.Scheme == "http" {
		return conn, nil
	}
	return r.startTLS(ctx, conn, r.url.Hostname(), "http/1.1")
}

// maxProxyAnswer bounds the header of the answer to a CONNECT.
const maxProxyAnswer = 64 << 10

// connect asks the proxy for a tunnel to the host. It closes conn if that fails.
func (r *route) connect(ctx context.Context, conn net.Conn) error {
	addr := hostPort(r.url)
	header, err := r.connectHeader(ctx, addr)
	if err != nil {
		hangUp(conn)
		return err
	}
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: addr, Header: header}
	stop := context.AfterFunc(ctx, func() { _ = lowest(conn).Close() })
	in := getAnswerReader(conn, maxProxyAnswer)
	resp, err := exchange(conn, in, req)
	switch {
	case !stop():
		err = context.Cause(ctx)
	case err != nil:
		err = fmt.Errorf("CONNECT: %w", err)
	case r.transport.OnProxyConnectResponse != nil:
		err = r.transport.OnProxyConnectResponse(ctx, r.proxy, req, resp)
	}
	switch {
	case err != nil:
	case resp.StatusCode/100 != 2:
		err = fmt.Errorf("CONNECT refused with %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	case in.Buffered() > 0:
		err = errors.New("CONNECT: the proxy sent more than its answer")
	default:
		in.put() // the body is not closed, which would read it to its end
		return nil
	}
	hangUp(conn)
	return err
}

func (r *route) connectHeader(ctx context.Context, addr string) (http.Header, error) {
	header := r.transport.ProxyConnectHeader
	if r.transport.GetProxyConnectHeader != nil {
		var err error
		if header, err = r.transport.GetProxyConnectHeader(ctx, r.proxy, addr); err != nil {
			return nil, err
		}
	}
	if header = header.Clone(); header == nil {
		header = http.Header{}
	}
	if u := r.proxy.User; u != nil && header.Get("Proxy-Authorization") == "" {
		password, _ := u.Password()
		basic := base64.StdEncoding.EncodeToString([]byte(u.Username() + ":" + password))
		header.Set("Proxy-Authorization", "Basic "+basic)
	}
	return header, nil
}

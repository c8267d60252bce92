package transport_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/transport"
)

// wrapped hides the Hijacker as middleware does.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// late writes its header in WriteHeaderNow, as gin does.
type late struct {
	http.ResponseWriter
	status int
}

func (l *late) Unwrap() http.ResponseWriter { return l.ResponseWriter }
func (l *late) WriteHeader(status int)      { l.status = status }
func (l *late) WriteHeaderNow()             { l.ResponseWriter.WriteHeader(l.status) }

func TestAcceptThroughMiddleware(t *testing.T) {
	for name, wrap := range map[string]func(http.ResponseWriter) http.ResponseWriter{
		"Unwrap":         func(w http.ResponseWriter) http.ResponseWriter { return wrapped{wrapped{w}} },
		"WriteHeaderNow": func(w http.ResponseWriter) http.ResponseWriter { return &late{ResponseWriter: w} },
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, false, nil)
			inner := s.Config.Handler
			s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { inner.ServeHTTP(wrap(w), r) })
			client, server := s.pair(t, testLinger)
			echo(t, client, server)
		})
	}
}

// A client that prefers HTTP/2 upgrades over HTTP/1.1 all the same.
func TestDialServerWithHTTP2(t *testing.T) {
	accepted := make(chan transport.Conn, 1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := transport.Accept(w, r, nil); err == nil {
			accepted <- c
		}
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	base, ok := s.Client().Transport.(*http.Transport)
	if !ok {
		t.Fatal("not an http.Transport")
	}
	base.ForceAttemptHTTP2 = true
	client := &http.Client{Transport: base}
	if resp, err := client.Get(s.URL); err != nil || resp.ProtoMajor != 2 {
		t.Fatal(resp, err)
	}
	c, err := (&transport.WebSocketDialer{Client: client}).Dial(context.Background(), s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	echo(t, c, <-accepted)
}

// tunnel is a proxy that knows CONNECT.
func tunnel(w http.ResponseWriter, r *http.Request) {
	out, err := net.Dial("tcp", r.Host)
	if err != nil || r.Method != http.MethodConnect {
		http.Error(w, "no", http.StatusBadGateway)
		return
	}
	w.WriteHeader(http.StatusOK)
	in, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(out, rw.Reader)
		_ = out.Close()
	}()
	_, _ = io.Copy(in, out)
	_ = in.Close()
}

// Through an HTTP proxy a handshake always uses CONNECT, with TLS and without, to both kinds of proxy.
func TestDialThroughProxy(t *testing.T) {
	for name, c := range map[string]struct{ secureProxy, secureHub bool }{
		"ws": {false, false}, "wss": {false, true}, "ws, proxy with TLS": {true, false}, "wss, proxy with TLS": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan *http.Request, 4)
			proxy := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked <- r.Clone(context.Background())
				tunnel(w, r)
			}))
			start := proxy.Start
			if c.secureProxy {
				start = proxy.StartTLS
			}
			start()
			defer proxy.Close()
			s := newServer(t, c.secureHub, nil)
			base := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // two certificates of httptest
			base.Proxy = func(*http.Request) (*url.URL, error) {
				u, err := url.Parse(proxy.URL)
				u.User = url.UserPassword("anna", "secret")
				return u, err
			}
			client, err := (&transport.WebSocketDialer{Client: &http.Client{Transport: base}}).Dial(t.Context(), s.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, at, _ := strings.Cut(proxy.URL, "://")
			if client.RemoteAddr() != at {
				t.Errorf("remote address %s, want the proxy's, %s", client.RemoteAddr(), at)
			}
			_, hub, _ := strings.Cut(s.URL, "://")
			if r := <-asked; r.Method != http.MethodConnect || r.Host != hub || r.Header.Get("Proxy-Authorization") != "Basic YW5uYTpzZWNyZXQ=" {
				t.Errorf("the proxy was asked %s %s %v", r.Method, r.Host, r.Header)
			}
			echo(t, client, <-s.accepted)
		})
	}
}

// A proxy that refuses or breaks off is named, without its password, and is not the hub refusing. Its connection is closed.
func TestProxyFails(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n\r\n"
	for name, c := range map[string]struct {
		answer string
		https  bool
		base   *http.Transport
	}{
		"407":           {answer: "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 9999\r\n\r\n"},
		"403":           {answer: "HTTP/1.1 403 Forbidden\r\n\r\n"},
		"CONNECT":       {answer: "no HTTP at all\r\n\r\n"},
		"more":          {answer: ok + "surprise"},
		"EOF":           {},
		"TLS handshake": {answer: ok, https: true},
		"bad header": {answer: ok, base: &http.Transport{GetProxyConnectHeader: func(context.Context, *url.URL, string) (http.Header, error) {
			return nil, errors.New("bad header")
		}}},
		"bad answer": {answer: ok, base: &http.Transport{OnProxyConnectResponse: func(context.Context, *url.URL, *http.Request, *http.Response) error {
			return errors.New("bad answer")
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			gone := make(chan struct{})
			go func() {
				defer close(gone)
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = http.ReadRequest(bufio.NewReader(conn))
				_, _ = io.WriteString(conn, c.answer)
				if c.answer == "" {
					_ = conn.(*net.TCPConn).CloseWrite()
				}
				_, _ = io.Copy(io.Discard, conn) // until the client closes
				_ = conn.Close()
			}()
			proxy := &url.URL{Scheme: "http", Host: l.Addr().String(), User: url.UserPassword("anna", "secret")}
			if c.https {
				proxy.Scheme = "https"
			}
			base := c.base
			if base == nil {
				base = &http.Transport{}
			}
			base.Proxy = http.ProxyURL(proxy)
			_, err = (&transport.WebSocketDialer{Client: &http.Client{Transport: base}}).Dial(t.Context(), "ws://hub.test/", nil)
			if !errorHas(err, l.Addr().String()) || !errorHas(err, name) || errorHas(err, "secret") {
				t.Error(err)
			}
			if _, ok := errors.AsType[*transport.HandshakeError](err); ok {
				t.Errorf("taken for an answer of the hub: %v", err)
			}
			<-gone
		})
	}
}

// The hooks of an http.Transport for its proxy are called; the header that one of them returns replaces the fixed one.
func TestProxyHooks(t *testing.T) {
	asked := make(chan *http.Request, 1)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Clone(context.Background())
		tunnel(w, r)
	}))
	defer proxy.Close()
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	at.User = url.UserPassword("anna", "secret")
	s := newServer(t, false, nil)
	fixed := http.Header{"X-Trace": {"fixed"}}
	own := http.Header{"X-Trace": {"own"}, "Proxy-Authorization": {"Bearer x"}}
	for want, base := range map[string]*http.Transport{
		"fixed Basic YW5uYTpzZWNyZXQ=": {ProxyConnectHeader: fixed},
		"own Bearer x": {ProxyConnectHeader: fixed, GetProxyConnectHeader: func(_ context.Context, u *url.URL, target string) (http.Header, error) {
			if u != at || target != s.Listener.Addr().String() {
				t.Errorf("header for %v, target %s", u, target)
			}
			return own, nil
		}},
	} {
		answered := 0
		base.Proxy = http.ProxyURL(at)
		base.OnProxyConnectResponse = func(_ context.Context, u *url.URL, req *http.Request, res *http.Response) error {
			if answered++; u != at || req.Method != http.MethodConnect || res.StatusCode != http.StatusOK {
				t.Errorf("%v, %s, %s", u, req.Method, res.Status)
			}
			return nil
		}
		client, err := (&transport.WebSocketDialer{Client: &http.Client{Transport: base}}).Dial(t.Context(), s.URL, nil)
		if err != nil || answered != 1 {
			t.Fatal(err, answered)
		}
		r := <-asked
		if got := r.Header.Get("X-Trace") + " " + r.Header.Get("Proxy-Authorization"); got != want {
			t.Errorf("the proxy got %q, want %q", got, want)
		}
		echo(t, client, <-s.accepted)
	}
	if len(fixed) != 1 {
		t.Errorf("the header of the transport became %v", fixed)
	}
}

// The context ends also a wait for the proxy's answer, and its connection.
func TestProxyNeverAnswers(t *testing.T) {
	at, gone := answering(t, func(string) string { return "" })
	base := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: strings.TrimPrefix(at, "ws://")})}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := (&transport.WebSocketDialer{Client: &http.Client{Transport: base}}).Dial(ctx, "ws://hub.test/", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	<-gone
}

func TestDialKeepsUsersDialer(t *testing.T) {
	s := newServer(t, false, nil)
	used := false
	d := &transport.WebSocketDialer{Client: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			used = true
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}}}
	c, err := d.Dial(context.Background(), s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !used {
		t.Error("the dialer was not used")
	}
	echo(t, c, <-s.accepted)
}

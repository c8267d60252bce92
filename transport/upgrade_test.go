package transport_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/alkdev/hubspoke/transport"
)

// wrapped hides the Hijacker as middleware does.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// late writes its header when told to, as gin does.
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

func TestDialThroughProxy(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(tunnel))
	defer proxy.Close()
	s := newServer(t, true, nil)
	base, ok := s.Client().Transport.(*http.Transport)
	if !ok {
		t.Fatal("not an http.Transport")
	}
	base.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(proxy.URL) }
	client, server := s.pair(t, testLinger)
	if want := strings.TrimPrefix(proxy.URL, "http://"); client.RemoteAddr() != want {
		t.Errorf("remote address %s, want the proxy's, %s", client.RemoteAddr(), want)
	}
	echo(t, client, server)
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

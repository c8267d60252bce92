package transport_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/transport"
)

func wantClosed(t *testing.T, err error, code transport.CloseCode, remote bool) {
	t.Helper()
	if ce, ok := errors.AsType[*transport.CloseError](err); !ok || ce.Code != code || ce.Remote != remote {
		t.Errorf("got %v, want a close with %d, remote %v", err, code, remote)
	}
}

func wantLost(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, transport.ErrLost) {
		t.Errorf("got %v, want ErrLost", err)
	}
}

func wantStatus(t *testing.T, err error, status int) *transport.HandshakeError {
	t.Helper()
	he, ok := errors.AsType[*transport.HandshakeError](err)
	if !ok || he.Status != status {
		t.Fatalf("got %v, want a handshake error with %d", err, status)
	}
	return he
}

func TestOrigin(t *testing.T) {
	s := newServer(t, false, &transport.AcceptOptions{OriginPatterns: []string{"*.Example.com", "https://only.test"}})
	for origin, allowed := range map[string]bool{
		"": true, s.URL: true, "https://a.example.com": true, "https://only.test": true,
		strings.Replace(s.URL, "http:", "https:", 1): true, "https://a.example.com:443": true,
		"http://only.test": false, "https://example.com": false, "https://evil.test": false, "null": false, "::": false,
	} {
		header := http.Header{}
		if origin != "" {
			header.Set("Origin", origin)
		}
		c, err := (&transport.WebSocketDialer{}).Dial(context.Background(), s.URL, header)
		if !allowed {
			wantStatus(t, err, http.StatusForbidden)
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", origin, err)
			continue
		}
		c.Abort()
		(<-s.accepted).Abort()
	}
}

func TestAnyOrigin(t *testing.T) {
	s := newServer(t, false, &transport.AcceptOptions{AnyOrigin: true})
	c, err := (&transport.WebSocketDialer{}).Dial(context.Background(), s.URL, http.Header{"Origin": {"https://evil.test"}})
	if err != nil {
		t.Fatal(err)
	}
	c.Abort()
	(<-s.accepted).Abort()
}

func TestSubprotocol(t *testing.T) {
	s := newServer(t, false, &transport.AcceptOptions{Subprotocols: []string{"hubspoke.v1"}})
	for _, c := range []struct {
		offered []string
		want    string
	}{{[]string{"hubspoke.v1", "hubspoke.bearer.x"}, "hubspoke.v1"}, {nil, ""}, {[]string{"other"}, ""}} {
		req, err := http.NewRequest(http.MethodGet, s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
			"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "Sec-Websocket-Protocol": c.offered}
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if got := answer.Header.Get("Sec-Websocket-Protocol"); answer.StatusCode != http.StatusSwitchingProtocols || got != c.want {
			t.Errorf("%v: %s, %q", c.offered, answer.Status, got)
		}
		(<-s.accepted).Abort()
		_ = answer.Body.Close()
	}
}

func TestInvalidOptions(t *testing.T) {
	for name, o := range map[string]transport.AcceptOptions{
		"pattern": {OriginPatterns: []string{"["}}, "pattern with scheme": {OriginPatterns: []string{"https://[a"}}, "empty pattern": {OriginPatterns: []string{""}},
		"size": {MaxMessageBytes: -1}, "timeout": {WriteTimeout: -1}, "linger": {Linger: -1},
		"subprotocol": {Subprotocols: []string{"a,b"}}, "empty subprotocol": {Subprotocols: []string{""}},
	} {
		if o.Validate() == nil {
			t.Errorf("%s: valid", name)
		}
		w := httptest.NewRecorder()
		if _, err := transport.Accept(w, httptest.NewRequest("GET", "/", nil), &o); err == nil || w.Code != http.StatusInternalServerError {
			t.Errorf("%s: %v, %d", name, err, w.Code)
		}
		d := transport.WebSocketDialer{MaxMessageBytes: o.MaxMessageBytes, WriteTimeout: o.WriteTimeout, Linger: o.Linger, Subprotocols: o.Subprotocols}
		if _, err := d.Dial(context.Background(), "ws://127.0.0.1:1", nil); o.OriginPatterns == nil && !errorHas(err, "transport: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	var none *transport.AcceptOptions
	if err := none.Validate(); err != nil {
		t.Error(err)
	}
}

func errorHas(err error, text string) bool { return err != nil && strings.Contains(err.Error(), text) }

func TestNotAWebSocket(t *testing.T) {
	w := httptest.NewRecorder() // cannot be hijacked
	r := httptest.NewRequest("GET", "/", nil)
	if _, err := transport.Accept(w, r, nil); err == nil || w.Code != http.StatusUpgradeRequired {
		t.Errorf("%v, %d", err, w.Code)
	}
	for k, v := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="} {
		r.Header.Set(k, v)
	}
	w = httptest.NewRecorder()
	if _, err := transport.Accept(w, r, nil); err == nil || w.Code != http.StatusNotImplemented {
		t.Errorf("%v, %d", err, w.Code)
	}
	if _, err := transport.Accept(noHijack{w}, r, nil); !errors.Is(err, errNoHijack) {
		t.Error(err)
	}
}

// noHijack has the method of a Hijacker, which fails.
type noHijack struct{ http.ResponseWriter }

var errNoHijack = errors.New("the connection cannot be taken over")

func (noHijack) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, errNoHijack }

func TestRefusedHandshake(t *testing.T) {
	answer := func(w http.ResponseWriter, r *http.Request) {
		if v := r.URL.Query().Get("after"); v != "" {
			w.Header().Set("Retry-After", v)
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	s := httptest.NewServer(http.HandlerFunc(answer))
	defer s.Close()
	dial := func(after string) *transport.HandshakeError {
		_, err := new(transport.WebSocketDialer).Dial(context.Background(), s.URL+"?after="+strings.ReplaceAll(after, " ", "%20"), nil)
		return wantStatus(t, err, http.StatusServiceUnavailable)
	}
	for after, want := range map[string]time.Duration{"": 0, "7": 7 * time.Second, "x": 0, "-3": 0, "999999": 24 * time.Hour, "Fri, 01 Jan 1999 00:00:00 GMT": 0} {
		if he := dial(after); he.RetryAfter != want || he.Err == nil || !errors.Is(he, he.Err) {
			t.Errorf("%q: %v", after, he)
		}
	}
	at := time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)
	if he := dial(at); he.RetryAfter < 50*time.Second || he.RetryAfter > time.Minute {
		t.Errorf("%q: %v", at, he.RetryAfter)
	}
}

// What a server answers instead of a WebSocket is in the error: the mark of a hub, and the first line of
// the body.
func TestHandshakeErrorCarriesTheAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		status                int
		refused, body         string
		wantRefused, wantText string
	}{
		"hub":                  {401, "unauthenticated", "", "unauthenticated", ""},
		"hub forbids":          {403, "forbidden", "Forbidden\n", "forbidden", "Forbidden"},
		"front":                {403, "", "\n  request blocked \x01by rule 7\r\nmore", "", "request blocked  by rule 7"},
		"mark with no refusal": {503, "unauthenticated", "", "", ""},
		"unknown mark":         {401, "maybe", "", "", ""},
		"long":                 {502, "", strings.Repeat("é", 300), "", strings.Repeat("é", 100)},
		"not text":             {500, "", "\xff\xfe", "", "\uFFFD"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if c.refused != "" {
					w.Header().Set(transport.RefusedHeader, c.refused)
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			defer s.Close()
			_, err := new(transport.WebSocketDialer).Dial(t.Context(), s.URL, nil)
			he := wantStatus(t, err, c.status)
			if he.Refused != c.wantRefused || he.Text != c.wantText {
				t.Errorf("%q, %q", he.Refused, he.Text)
			}
			if c.wantText != "" && c.wantText != "Forbidden" && !errorHas(err, strconv.Quote(c.wantText)) {
				t.Error(err)
			}
		})
	}
}

// A redirect to another host drops the credentials: the error names that host.
func TestRedirectThatDropsCredentials(t *testing.T) {
	refuse := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			w.Header().Set(transport.RefusedHeader, transport.RefusedUnauthenticated)
		}
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer refuse.Close()
	elsewhere := strings.Replace(refuse.URL, "127.0.0.1", "localhost", 1)
	for _, to := range []string{elsewhere, ""} {
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/there" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			http.Redirect(w, r, to+"/there", http.StatusTemporaryRedirect)
		}))
		_, err := new(transport.WebSocketDialer).Dial(t.Context(), front.URL, http.Header{"Authorization": {"Bearer x"}})
		he := wantStatus(t, err, http.StatusUnauthorized)
		_, host, _ := strings.Cut(to, "://")
		if he.Redirect != host || host != "" && !errorHas(err, host) {
			t.Errorf("redirected to %q: %q, %v", host, he.Redirect, err)
		}
		front.Close()
	}
}

// No error of a dial shows the password or the query of its URL.
func TestDialHidesCredentials(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	_, host, _ := strings.Cut(closed.URL, "://")
	moved := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "http://user:secret@%zz/?secret")
		w.WriteHeader(http.StatusFound)
	}))
	defer moved.Close()
	for _, url := range []string{
		"ws://user:secret@" + host, "ws://" + host + "/?token=secret", "ws://" + host + "/?a=\"secret", "ws://user:sec ret@" + host,
		"ftp://user:secret@" + host, "ws://user:secret@", "ws://user:se/secret@" + host, moved.URL + "/?secret",
	} {
		_, err := new(transport.WebSocketDialer).Dial(t.Context(), url, nil)
		if err == nil || errorHas(err, "secret") || errorHas(err, "sec ret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestDialFails(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s := newServer(t, false, nil)
	if _, err := new(transport.WebSocketDialer).Dial(ctx, s.URL, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := new(transport.WebSocketDialer).Dial(context.Background(), "ftp://x", nil); err == nil {
		t.Error("ftp")
	}
}

// The end of the context that bounded the handshake changes nothing, header is
// sent and not touched.
func TestDialContextAndHeader(t *testing.T) {
	got := make(chan string, 1)
	s := newServer(t, false, nil)
	inner := s.Config.Handler
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header.Get("Authorization")
		inner.ServeHTTP(w, r)
	})
	ctx, cancel := context.WithCancel(context.Background())
	header := http.Header{"Authorization": {"Bearer x"}}
	client := &http.Client{Timeout: time.Minute}
	c, err := (&transport.WebSocketDialer{Client: client}).Dial(ctx, s.URL, header)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if len(header) != 1 || <-got != "Bearer x" {
		t.Errorf("header %v", header)
	}
	echo(t, c, <-s.accepted)
}

// echo sends a message each way and lets go of both ends.
func echo(t *testing.T, a, b transport.Conn) {
	t.Helper()
	for range 2 {
		if msg, ok, err := b.TryRead(); len(msg) > 0 || ok || err != nil { // nothing has come, and it does not wait
			t.Fatalf("%q, %v, %v", msg, ok, err)
		}
		if err := a.Write([][]byte{[]byte("hello")}); err != nil {
			t.Fatal(err)
		}
		if msg, err := b.Read(); err != nil || string(msg) != "hello" {
			t.Fatalf("%q, %v", msg, err)
		}
		a, b = b, a
	}
	a.Abort()
	b.Abort()
}

// foreign is a RoundTripper that is no *http.Transport.
type foreign struct{ http.RoundTripper }

// plainBody hides everything of a body but what it must have.
type plainBody struct{ io.ReadWriteCloser }

func (f foreign) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := f.RoundTripper.RoundTrip(r.WithContext(context.Background())) // no trace either
	if err == nil {
		resp.Body = plainBody{resp.Body.(io.ReadWriteCloser)}
	}
	return resp, err
}

func TestForeignRoundTripper(t *testing.T) {
	s := newServer(t, false, nil)
	d := &transport.WebSocketDialer{Client: &http.Client{Transport: foreign{new(http.Transport)}}, WriteTimeout: 50 * time.Millisecond}
	c, err := d.Dial(context.Background(), s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	echo(t, c, <-s.accepted)
	if c, err = d.Dial(context.Background(), s.URL, nil); err != nil {
		t.Fatal(err)
	}
	wantLost(t, c.Write([][]byte{make([]byte, 24<<20)})) // nobody reads
	_, err = c.Read()
	wantLost(t, err)
	(<-s.accepted).Abort()
}

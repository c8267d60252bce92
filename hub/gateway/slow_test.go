package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/gateway"
	"github.com/alkdev/hubspoke/spoke"
)

// raw sends text to the site's server and returns the connection, for clients that http.Client cannot be.
func (s *site) raw(text string) net.Conn {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		s.t.Fatal(err)
	}
	return conn
}

// answered reads the answer to what raw sent, with its body, and fails the test if it does not come soon.
func (s *site) answered(conn net.Conn) (status int, closes bool, body string) {
	s.t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		s.t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, res.Close, string(text)
}

const bodyToCome = " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nContent-Length: 10\r\n\r\n"

// A client that announces a body and does not send it is answered: immediately where the body is not wanted, else when its
// time is up or the hub drains.
func TestBodyThatNeverComes(t *testing.T) {
	s := newSite(t, tokens(), nil)
	short := newSite(t, tokens(), &gateway.Options{ReadTimeout: 50 * time.Millisecond})
	for _, c := range []struct {
		site    *site
		request string
		token   string
		status  int
	}{
		{s, "POST /call/hub.info", "wrong", 401},
		{s, "POST /call/hub.info?timeout=x", "anna-secret", 400},
		{s, "POST /nothing", "anna-secret", 404},
		{s, "PUT /call/hub.info", "anna-secret", 405},
		{s, "GET /spokes", "anna-secret", 200},
		{s, "GET /healthz", "anna-secret", 200},
		{short, "POST /call/hub.info", "anna-secret", 408},
		{short, "POST /publish/t", "anna-secret", 408},
	} {
		conn := c.site.raw(c.request + fmt.Sprintf(bodyToCome, c.token))
		status, closes, body := c.site.answered(conn)
		if status != c.status || !closes {
			t.Errorf("%s: %d %s, closes %v; want %d and an end", c.request, status, body, closes, c.status)
		}
		if _, err := io.Copy(io.Discard, conn); err != nil { // nor does the server wait for the body after its answer
			t.Errorf("%s: %v, want the end", c.request, err)
		}
	}
	// A body that comes byte by byte has its time, too.
	trickle := short.raw("POST /call/hub.info" + fmt.Sprintf(bodyToCome, "anna-secret"))
	go func() {
		for range 5 {
			<-time.After(30 * time.Millisecond)
			if _, err := io.WriteString(trickle, " "); err != nil {
				return
			}
		}
	}()
	if status, _, body := short.answered(trickle); status != 408 || !strings.Contains(body, "REQUEST_TIMEOUT") {
		t.Errorf("byte by byte: %d %s", status, body)
	}
	// A connection whose body was read in time is kept, without a deadline from before.
	kept := short.raw("POST /call/hub.info" + fmt.Sprintf(bodyToCome, "anna-secret") + "1234567890")
	if status, closes, body := short.answered(kept); status != 200 || closes {
		t.Errorf("%d %s", status, body)
	}
	<-time.After(100 * time.Millisecond)
	if _, err := io.WriteString(kept, "POST /call/hub.info"+fmt.Sprintf(bodyToCome, "anna-secret")+"1234567890"); err != nil {
		t.Fatal(err)
	}
	if status, _, body := short.answered(kept); status != 200 {
		t.Errorf("the second request: %d %s", status, body)
	}
}

// A hub that drains ends the wait for bodies, so that the server's Shutdown is not held up.
func TestBodiesDoNotHoldUpAShutdown(t *testing.T) {
	h, err := hub.New(tokens())
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(h, &gateway.Options{ReadTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	reading := make(chan struct{}, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = readNotice{r.Body, reading}
		g.ServeHTTP(w, r)
	}))
	defer server.Close()
	s := &site{t, h, server.URL}
	conn := s.raw("POST /call/hub.info" + fmt.Sprintf(bodyToCome, "anna-secret"))
	<-reading
	if err := h.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := server.Config.Shutdown(ctx); err != nil {
		t.Errorf("the server's Shutdown: %v", err)
	}
	if status, _, body := s.answered(conn); status != 503 || !strings.Contains(body, "UNAVAILABLE") {
		t.Errorf("%d %s", status, body)
	}
}

// readNotice reports when a body is about to be read.
type readNotice struct {
	io.ReadCloser
	reading chan<- struct{}
}

func (r readNotice) Read(p []byte) (int, error) {
	select {
	case r.reading <- struct{}{}:
	default:
	}
	return r.ReadCloser.Read(p)
}

// One identity has a bound on requests and on streams; another has its own.
func TestBoundsOfAnIdentity(t *testing.T) {
	s := newSite(t, tokens(), &gateway.Options{MaxIdentityRequests: 2, MaxIdentityStreams: 1})
	token := func(q request, secret string) request { return q.with("Authorization", "Bearer "+secret) }
	first := s.raw("POST /call/hub.info" + fmt.Sprintf(bodyToCome, "anna-secret"))
	s.raw("POST /publish/t" + fmt.Sprintf(bodyToCome, "anna-secret"))
	within(t, "the third request is refused", func() bool {
		status, header, body := s.do(token(post("/call/hub.info", ""), "anna-secret"))
		return status == 429 && header.Get("Retry-After") != "" && strings.Contains(body, "OVERLOADED") && strings.Contains(body, "MaxIdentityRequests")
	})
	s.wantError(token(get("/spokes"), "anna-secret"), 429, "OVERLOADED")
	if status, _, body := s.do(token(post("/call/hub.info", ""), "worker-secret")); status != 200 {
		t.Errorf("another identity: %d %s", status, body)
	}
	first.Close()
	within(t, "a place is free again", func() bool {
		status, _, _ := s.do(token(post("/call/hub.info", ""), "anna-secret"))
		return status == 200
	})

	ctx, leave := context.WithCancel(t.Context())
	if res := s.start(ctx, token(get("/events/t"), "anna-secret")); res.StatusCode != 200 { //nolint:bodyclose // start closes it with the test
		t.Fatal(res.StatusCode)
	}
	header := s.wantError(token(get("/events/u"), "anna-secret"), 429, "OVERLOADED")
	if header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	leave()
	within(t, "a stream may be opened again", func() bool {
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		return s.start(ctx, token(get("/events/t"), "anna-secret")).StatusCode == 200 //nolint:bodyclose // likewise
	})
}

func within(t *testing.T, what string, done func() bool) {
	t.Helper()
	for range 500 {
		if done() {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Errorf("not within 5 s: %s", what)
}

// A client that does not read its answer is cut off, and its place is free again.
func TestAnswerThatIsNotRead(t *testing.T) {
	const size = 32 << 20
	h, err := hub.New(&hub.Options{AllowAnonymous: true, MaxMessageBytes: 2 * size})
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(h, &gateway.Options{MaxIdentityRequests: 1, WriteTimeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /spoke", h)
	mux.Handle("/", g)
	server := httptest.NewServer(mux)
	t.Cleanup(func() { h.Close(); server.Close() })
	s := &site{t, h, server.URL}
	sp, err := spoke.New(s.url+"/spoke", &spoke.Options{ID: "w", MaxMessageBytes: 2 * size})
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan struct{}, 1)
	if err := call.Handle(sp.Operations(), call.Operation{Name: "test.big"}, func(context.Context, json.RawMessage) (string, error) {
		answered <- struct{}{}
		return strings.Repeat("x", size), nil
	}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() { defer close(ran); _ = sp.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ran })
	if err := sp.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.raw("POST /call/test.big HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n")
	<-answered
	within(t, "the place of a client that does not read is free again", func() bool {
		status, _, _ := s.do(get("/spokes"))
		return status == 200
	})
}

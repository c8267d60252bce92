package gateway_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/gateway"
	"github.com/alkdev/hubspoke/spoke"
)

// site is a server with a hub, its gateway, and what spokes join it.
type site struct {
	t   *testing.T
	hub *hub.Hub
	url string
}

func newSite(t *testing.T, ho *hub.Options, o *gateway.Options) *site {
	t.Helper()
	h, err := hub.New(ho)
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(h, o)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /spoke", h)
	mux.Handle("/", g)
	server := httptest.NewServer(mux)
	t.Cleanup(func() { h.Close(); server.Close() })
	return &site{t, h, server.URL}
}

func open(t *testing.T) *site {
	t.Helper()
	return newSite(t, &hub.Options{AllowAnonymous: true}, nil)
}

// join runs a spoke until the test ends.
func (s *site) join(id, token string, register func(r *call.Registry) error) {
	s.t.Helper()
	o := &spoke.Options{ID: id}
	if token != "" {
		o.Token = spoke.StaticToken(token)
	}
	sp, err := spoke.New(s.url+"/spoke", o)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := register(sp.Operations()); err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() { defer close(ran); _ = sp.Run(ctx) }()
	s.t.Cleanup(func() { stop(); <-ran })
	if err := sp.Ready(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// request is one request; JSON is posted unless the header says otherwise.
type request struct {
	method, path, body string
	header             http.Header
}

func post(path, body string) request { return request{method: http.MethodPost, path: path, body: body} }
func get(path string) request        { return request{method: http.MethodGet, path: path} }

func (q request) with(name, value string) request {
	h := q.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set(name, value)
	q.header = h
	return q
}

func (s *site) start(ctx context.Context, q request) *http.Response {
	s.t.Helper()
	r, err := http.NewRequestWithContext(ctx, q.method, s.url+q.path, strings.NewReader(q.body))
	if err != nil {
		s.t.Fatal(err)
	}
	if q.method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	for name, values := range q.header {
		r.Header[name] = values
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { res.Body.Close() })
	return res
}

// do gives the answer's status, header and body.
func (s *site) do(q request) (int, http.Header, string) {
	s.t.Helper()
	res := s.start(s.t.Context(), q) //nolint:bodyclose // start closes it with the test
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(body)
}

type failure struct {
	Code      string          `json:"code"`
	Message   string          `json:"message"`
	Retryable *bool           `json:"retryable"`
	Details   json.RawMessage `json:"details"`
}

// wantError checks an answer for the shape that every error has.
func (s *site) wantError(q request, status int, code string) http.Header {
	s.t.Helper()
	got, header, body := s.do(q)
	var f failure
	if err := json.Unmarshal([]byte(body), &f); err != nil {
		s.t.Fatalf("%s %s: %d %q: %v", q.method, q.path, got, body, err)
	}
	if got != status || f.Code != code || f.Message == "" || f.Retryable == nil || len(f.Details) == 0 {
		s.t.Errorf("%s %s: %d %s; want %d %s", q.method, q.path, got, body, status, code)
	}
	if ct := header.Get("Content-Type"); ct != "application/json" {
		s.t.Errorf("%s %s: Content-Type %q", q.method, q.path, ct)
	}
	return header
}

func echo(_ context.Context, in json.RawMessage) (json.RawMessage, error) { return in, nil }

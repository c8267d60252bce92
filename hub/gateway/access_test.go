package gateway_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/gateway"
)

func tokens() *hub.Options {
	return &hub.Options{
		Authenticate: hub.BearerTokens([]hub.Token{
			{Secret: "worker-secret", Identity: call.Identity{ID: "worker"}},
			{Secret: "anna-secret", Identity: call.Identity{ID: "anna", Scopes: []string{"read"}}},
		}),
		Authorize: func(a hub.Action) error {
			if a.Identity.ID == "anna" && (a.Verb == hub.Publish || a.Verb == hub.Subscribe) && strings.HasPrefix(a.Name, "private.") {
				return errors.New("not for anna")
			}
			return nil
		},
		Origins: []string{"app.example.com", "https://*.example.org"},
	}
}

func TestOptions(t *testing.T) {
	h, err := hub.New(tokens())
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	anybody := func(*http.Request) (*call.Identity, error) { return nil, nil }
	for name, o := range map[string]*gateway.Options{
		"both":    {Authenticate: anybody, AllowAnonymous: true},
		"pattern": {Origins: []string{"["}},
		"empty":   {Origins: []string{""}},
		"size":    {MaxMessageBytes: -1},
		"beat":    {KeepAlive: -1},
		"write":   {WriteTimeout: -1},
	} {
		if _, err := gateway.New(h, o); !errors.Is(err, gateway.ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := gateway.New(nil, nil); !errors.Is(err, gateway.ErrOptions) {
		t.Errorf("no hub: %v", err)
	}
}

func TestAuthentication(t *testing.T) {
	s := newSite(t, tokens(), nil)
	for _, q := range []request{
		post("/call/hub.info", ""), post("/spokes/x/call/a.b", ""), post("/publish/t", ""),
		get("/events/t"), get("/spokes"), get("/stats"),
	} {
		for _, credentials := range []string{"", "Bearer wrong", "Basic anna-secret"} {
			header := s.wantError(q.with("Authorization", credentials), 401, "UNAUTHENTICATED")
			if got := header.Get("WWW-Authenticate"); got != "Bearer" {
				t.Errorf("WWW-Authenticate: %q", got)
			}
		}
	}
	if status, _, body := s.do(get("/healthz")); status != http.StatusOK {
		t.Errorf("healthz asks who it is: %d %s", status, body)
	}
	if status, _, _ := s.do(post("/call/hub.info", "").with("Authorization", "bearer anna-secret")); status != http.StatusOK {
		t.Errorf("the right token: %d", status)
	}

	forbid := newSite(t, tokens(), &gateway.Options{Authenticate: func(*http.Request) (*call.Identity, error) {
		return nil, hub.ErrForbidden
	}})
	forbid.wantError(get("/spokes"), 403, "ACCESS_DENIED")
	for name, broken := range map[string]hub.Authenticator{
		"nothing":  func(*http.Request) (*call.Identity, error) { return nil, nil },
		"no id":    func(*http.Request) (*call.Identity, error) { return &call.Identity{}, nil },
		"Latin-1":  func(*http.Request) (*call.Identity, error) { return &call.Identity{ID: "caf\xe9"}, nil },
		"control":  func(*http.Request) (*call.Identity, error) { return &call.Identity{ID: "x\x00"}, nil },
		"database": func(*http.Request) (*call.Identity, error) { return nil, errors.New("connection refused") },
		"panic":    func(*http.Request) (*call.Identity, error) { panic("nil map") },
	} {
		header := newSite(t, tokens(), &gateway.Options{Authenticate: broken}).wantError(get("/spokes"), 503, "UNAVAILABLE")
		if header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", name)
		}
	}
	everybody := newSite(t, tokens(), &gateway.Options{AllowAnonymous: true})
	if status, _, _ := everybody.do(get("/spokes")); status != http.StatusOK {
		t.Errorf("anonymous: %d", status)
	}
}

func TestOrigin(t *testing.T) {
	s := newSite(t, tokens(), nil)
	own, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	q := get("/spokes").with("Authorization", "Bearer anna-secret")
	for origin, want := range map[string]int{
		"":                          200,
		s.url:                       200,
		"https://" + own.Host:       200,
		"https://App.Example.com":   200,
		"https://a.example.org":     200,
		"https://a.example.org:443": 200,
		"http://a.example.org":      403,
		"https://evil.test":         403,
		"null":                      403,
		"://":                       403,
	} {
		status, header, body := s.do(q.with("Origin", origin))
		if status != want {
			t.Errorf("%q: %d, want %d", origin, status, want)
		}
		if want == 403 && !strings.Contains(body, "ACCESS_DENIED") {
			t.Errorf("%q: %s", origin, body)
		}
		other := strings.Contains(strings.ToLower(origin), ".example.") && want == 200
		if (header.Get("Access-Control-Allow-Origin") == origin) != (other || origin == "") {
			t.Errorf("%q: Access-Control-Allow-Origin %q", origin, header.Get("Access-Control-Allow-Origin"))
		}
		exposed := ""
		if other {
			exposed = "Retry-After, Link, Hubspoke-Incomplete" // what the page can read besides the body
		}
		if got := header.Get("Access-Control-Expose-Headers"); got != exposed {
			t.Errorf("%q: Access-Control-Expose-Headers %q", origin, got)
		}
	}
	ask := request{method: http.MethodOptions, path: "/call/a.b"}.
		with("Origin", "https://app.example.com").with("Access-Control-Request-Method", "POST")
	status, header, _ := s.do(ask)
	if status != http.StatusNoContent || header.Get("Access-Control-Allow-Methods") != "POST" ||
		!strings.Contains(header.Get("Access-Control-Allow-Headers"), "Authorization") {
		t.Errorf("preflight: %d %v", status, header)
	}
	if status, _, _ := s.do(ask.with("Origin", "https://evil.test")); status != http.StatusForbidden {
		t.Errorf("preflight from elsewhere: %d", status)
	}

	none := newSite(t, tokens(), &gateway.Options{Origins: []string{}})
	none.wantError(q.with("Origin", "https://app.example.com"), 403, "ACCESS_DENIED")
	all := newSite(t, tokens(), &gateway.Options{Origins: []string{"*"}})
	if status, _, _ := all.do(q.with("Origin", "https://evil.test")); status != http.StatusOK {
		t.Errorf("any origin: %d", status)
	}
}

func TestRoutesThatAreNot(t *testing.T) {
	s := open(t)
	for _, path := range []string{"/", "/nothing", "/call", "/call/", "/call/a/b", "/spokes/", "/spokes/x",
		"/spokes/x/call/", "/spokes/x/calls/y", "/events/", "/publish", "/healthz/x", "/a/b/c/d/e"} {
		s.wantError(get(path), 404, "NOT_FOUND")
	}
	for _, c := range []struct{ method, path, allow string }{
		{"GET", "/call/a.b", "POST"}, {"PUT", "/publish/t", "POST"}, {"POST", "/events/t", "GET"},
		{"OPTIONS", "/spokes", "GET, HEAD"}, {"DELETE", "/spokes", "GET, HEAD"}, {"POST", "/healthz", "GET, HEAD"},
	} {
		header := s.wantError(request{method: c.method, path: c.path}, 405, "METHOD_NOT_ALLOWED")
		if header.Get("Allow") != c.allow {
			t.Errorf("%s %s: Allow %q", c.method, c.path, header.Get("Allow"))
		}
	}
	if status, _, body := s.do(request{method: http.MethodHead, path: "/healthz"}); status != http.StatusOK || body != "" {
		t.Errorf("HEAD: %d %q", status, body)
	}
}

func TestLists(t *testing.T) {
	s := open(t)
	if _, _, body := s.do(get("/spokes")); body != "[]\n" {
		t.Errorf("no spokes: %q", body)
	}
	s.join("worker-7", "", func(r *call.Registry) error { return call.Handle(r, call.Operation{Name: "text.echo"}, echo) })
	var spokes []hub.SpokeInfo
	if _, _, body := s.do(get("/spokes")); json.Unmarshal([]byte(body), &spokes) != nil || len(spokes) != 1 ||
		spokes[0].SpokeID != "worker-7" || spokes[0].HubID != s.hub.ID() || len(spokes[0].Operations) != 1 {
		t.Errorf("spokes: %s", body)
	}
	if status, _, body := s.do(get("/healthz")); status != http.StatusOK || body != "{\"status\":\"ok\"}\n" {
		t.Errorf("healthz: %d %q", status, body)
	}
	s.hub.Close()
	if status, header, body := s.do(get("/healthz")); status != 503 || body != "{\"status\":\"draining\"}\n" || header.Get("Retry-After") == "" {
		t.Errorf("healthz while draining: %d %q", status, body)
	}
	header := s.wantError(post("/call/text.echo", ""), 503, "UNAVAILABLE")
	if header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	s.wantError(get("/events/t"), 503, "UNAVAILABLE")
}

package hub_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// knock makes a handshake and returns what came of it: "open", a status with the mark of a refusal, or a close code with its reason.
func knock(t *testing.T, url string, header http.Header, subprotocols ...string) string {
	t.Helper()
	d := &transport.WebSocketDialer{Subprotocols: append([]string{hub.Subprotocol}, subprotocols...)}
	c, err := d.Dial(t.Context(), url, header)
	if he, ok := errors.AsType[*transport.HandshakeError](err); ok {
		out := fmt.Sprint(he.Status)
		if he.Refused != "" {
			out += " " + he.Refused
		}
		if he.RetryAfter > 0 {
			out += " later"
		}
		return out
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Abort()
	if err := c.Write([][]byte{[]byte(`{"type":"call.requested","payload":{"requestId":"1","operationId":"hub.register","input":{}}}`)}); err == nil {
		if _, err = c.Read(); err == nil {
			return "open"
		}
	}
	_, err = c.Read()
	ce, ok := errors.AsType[*transport.CloseError](err)
	if !ok {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", ce.Code, ce.Reason)
}

// hubServer is a hub behind a real socket, with the handler in front of it that wrap makes.
func hubServer(t *testing.T, o *hub.Options, wrap func(http.Handler) http.Handler) server {
	t.Helper()
	h, err := hub.New(o)
	if err != nil {
		t.Fatal(err)
	}
	var handler http.Handler = h
	if wrap != nil {
		handler = wrap(h)
	}
	srv := httptest.NewServer(handler)
	t.Cleanup(func() {
		h.Close()
		if err := h.Shutdown(cleanupContext(t)); err != nil {
			t.Errorf("the hub did not end: %v", err)
		}
		srv.Close()
	})
	return server{h, srv.URL}
}

// Every answer to a handshake, for a client that sees a status and for those of a platform WebSocket, which do not.
func TestAnswersToAHandshake(t *testing.T) {
	failure := func(err error) hub.Authenticator {
		return func(*http.Request) (*call.Identity, error) { return nil, err }
	}
	identity := func(id call.Identity) hub.Authenticator {
		return func(*http.Request) (*call.Identity, error) { return &id, nil }
	}
	expired := call.Identity{ID: "x", Expires: time.Now().Add(-time.Second)}
	for name, c := range map[string]struct {
		authenticate   hub.Authenticator
		status, closed string
	}{
		"unauthenticated": {failure(fmt.Errorf("%w: no such token", hub.ErrUnauthenticated)), "401 unauthenticated", "4500 unauthenticated"},
		"forbidden":       {failure(fmt.Errorf("%w: blocked", hub.ErrForbidden)), "403 forbidden", "4500 forbidden"},
		"database":        {failure(errors.New("dial tcp 10.0.0.7:5432: connection refused")), "503 later", "1013 the hub cannot check credentials now"},
		"panic":           {func(*http.Request) (*call.Identity, error) { panic("nil map") }, "503 later", "1013 the hub cannot check credentials now"},
		"nothing":         {failure(nil), "503 later", "1013 the hub cannot check credentials now"},
		"no id":           {func(*http.Request) (*call.Identity, error) { return &call.Identity{}, nil }, "503 later", "1013 the hub cannot check credentials now"},
		"Latin-1":         {identity(call.Identity{ID: "caf\xe9"}), "503 later", "1013 the hub cannot check credentials now"},
		"control":         {identity(call.Identity{ID: "x\ny"}), "503 later", "1013 the hub cannot check credentials now"},
		"scope":           {identity(call.Identity{ID: "x", Scopes: []string{"caf\xe9"}}), "503 later", "1013 the hub cannot check credentials now"},
		"resource": {identity(call.Identity{ID: "x", Resources: map[string][]string{"caf\xe9": nil}}), "503 later",
			"1013 the hub cannot check credentials now"},
		"expired": {func(*http.Request) (*call.Identity, error) { return &expired, nil }, "401 unauthenticated", "4500 unauthenticated"},
		"let in":  {func(*http.Request) (*call.Identity, error) { return &call.Identity{ID: "x"}, nil }, "open", "open"},
	} {
		t.Run(name, func(t *testing.T) {
			s := hubServer(t, &hub.Options{Authenticate: c.authenticate, Origins: []string{"https://app.test"}}, nil)
			if got := knock(t, s.url, nil); got != c.status {
				t.Errorf("sees the status: %s, want %s", got, c.status)
			}
			for client, got := range map[string]string{
				"Origin":              knock(t, s.url, http.Header{"Origin": {s.url}}),
				"allowed Origin":      knock(t, s.url, http.Header{"Origin": {"https://app.test:443"}}),
				"bearer subprotocol":  knock(t, s.url, nil, "hubspoke.bearer.d3Jvbmc"),
				"unreadable bearer":   knock(t, s.url, nil, "hubspoke.bearer.***"),
				"bearer, wrong order": knock(t, s.url, http.Header{"Sec-Websocket-Protocol": nil}, "hubspoke.bearer.d3Jvbmc"),
			} {
				if got != c.closed {
					t.Errorf("%s: %s, want %s", client, got, c.closed)
				}
			}
			if got := knock(t, s.url, http.Header{"Origin": {"https://evil.test"}}); got != "4500 origin not allowed" {
				t.Errorf("another origin: %s", got)
			}
		})
	}
}

// A request that is no handshake gets a status whatever it sends.
func TestRefusedRequestThatIsNoHandshake(t *testing.T) {
	s := hubServer(t, &hub.Options{Authenticate: hub.BearerTokens(nil)}, nil)
	for origin, want := range map[string]string{"": "401 unauthenticated", "https://evil.test": "403 forbidden"} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got := fmt.Sprint(res.StatusCode, " ", res.Header.Get(transport.RefusedHeader)); got != want {
			t.Errorf("origin %q: %s, want %s", origin, got, want)
		}
	}
}

// The default port of the origin's scheme is no other host, with Host as a proxy passes it on.
func TestOriginWithDefaultPort(t *testing.T) {
	var host string
	s := hubServer(t, &hub.Options{AllowAnonymous: true}, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Host = host
			h.ServeHTTP(w, r)
		})
	})
	for _, c := range []struct{ host, origin, want string }{
		{"example.com:443", "https://example.com", "open"},
		{"example.com", "https://example.com:443", "open"},
		{"example.com:80", "http://example.com", "open"},
		{"example.com:8443", "https://example.com", "4500 origin not allowed"},
		{"example.com:80", "https://example.com", "4500 origin not allowed"},
	} {
		host = c.host
		if got := knock(t, s.url, http.Header{"Origin": {c.origin}}); got != c.want {
			t.Errorf("%s from %s: %s, want %s", c.host, c.origin, got, c.want)
		}
	}
}

// Middleware that refuses as the hub does stops a spoke; a plain 401 or 403 in front does not.
func TestMiddlewareRefuses(t *testing.T) {
	var mode atomic.Int32
	s := hubServer(t, &hub.Options{AllowAnonymous: true}, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch mode.Load() {
			case 1:
				http.Error(w, "not yet", http.StatusForbidden)
			case 2:
				hub.Refuse(w, http.StatusForbidden)
			case 3:
				hub.Refuse(w, http.StatusTeapot)
			default:
				h.ServeHTTP(w, r)
			}
		})
	})
	a := socketSpokeWith(t, s, "a", &spoke.Options{BackoffMax: 10 * time.Millisecond}, func(*call.Registry) {})
	await := func(state spoke.State) {
		t.Helper()
		for st := range a.States(t.Context()) {
			if st == state {
				return
			}
		}
		t.Fatalf("not %v: %v", state, a.LastError())
	}
	for _, m := range []int32{1, 3} {
		mode.Store(m)
		before := a.Stats().Attempts
		if ok, err := s.Reauthenticate(t.Context(), "a"); !ok || err != nil {
			t.Fatal(ok, err)
		}
		for a.Stats().Attempts < before+5 {
			<-time.After(time.Millisecond)
		}
		mode.Store(0)
		await(spoke.Registered)
	}
	mode.Store(2)
	if _, err := s.Reauthenticate(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	await(spoke.Stopped)
	if he, ok := errors.AsType[*transport.HandshakeError](a.LastError()); !ok || he.Refused != "forbidden" {
		t.Error(a.LastError())
	}
}

// What a caller hands to Accept is counted as what comes over HTTP.
func TestAcceptKeepsTheLimits(t *testing.T) {
	for name, c := range map[string]struct {
		options hub.Options
		want    string
	}{
		"connections": {hub.Options{AllowAnonymous: true, MaxConnections: 1}, "1013 too many connections: limit 1 (hub.Options.MaxConnections)"},
		"identity":    {hub.Options{AllowAnonymous: true, MaxIdentityConnections: 1}, "1013 too many connections of this identity: limit 1 (hub.Options.MaxIdentityConnections)"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				net := hubtest.New(t, &c.options)
				first := net.Spoke("first", nil, nil)
				for range 3 {
					near, far := transport.Pipe(nil)
					accepted := make(chan bool, 1)
					go func() { accepted <- net.Hub.Accept(far, &call.Identity{ID: call.Anonymous}) }()
					_, err := near.Read()
					if ce, ok := errors.AsType[*transport.CloseError](err); !ok || fmt.Sprint(int(ce.Code), " ", ce.Reason) != c.want {
						t.Errorf("%v, want %s", err, c.want)
					}
					if <-accepted {
						t.Error("accepted")
					}
				}
				if s := net.Hub.Stats(); s.Connections != 1 || s.Refused != 3 || s.Spokes != 1 {
					t.Errorf("%+v", s)
				}
				first.Stop()
				later(time.Second)
				net.Spoke("second", nil, nil) // the place is free again
			})
		})
	}
}

// A refused connection counts until the other side has answered the close, or the linger time is over: a client that
// reads nothing does not get around the limit.
func TestRefusedConnectionCountsUntilItEnds(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &hub.Options{AllowAnonymous: true})
		near, far := transport.Pipe(nil)
		accepted := make(chan bool, 1)
		go func() { accepted <- net.Hub.Accept(far, &call.Identity{ID: call.Anonymous}) }()
		if err := near.Write([][]byte{[]byte("{}")}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s := net.Hub.Stats(); s.Refused != 1 || s.Connections != 1 {
			t.Errorf("before the close is answered: %+v", s)
		}
		for err := error(nil); err == nil; {
			_, err = near.Read()
		}
		if <-accepted {
			t.Error("accepted")
		}
		if s := net.Hub.Stats(); s.Refused != 1 || s.Connections != 0 {
			t.Errorf("afterwards: %+v", s)
		}
	})
}

func TestAcceptWithoutIdentity(t *testing.T) {
	h, err := hub.New(&hub.Options{AllowAnonymous: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		id   *call.Identity
		want string
	}{{nil, "4500"}, {&call.Identity{ID: "late"}, "1013"}} {
		near, far := transport.Pipe(nil)
		accepted := make(chan bool, 1)
		go func() { accepted <- h.Accept(far, c.id) }()
		if _, err := near.Read(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Error(err)
		}
		if <-accepted {
			t.Error("accepted")
		}
		h.Close()
	}
	if s := h.Stats(); s.Connections != 0 {
		t.Errorf("%+v", s)
	}
}

// A program that hands over a connection with an identity that no hub accepts is at fault, not the spoke: it may come back.
func TestAcceptChecksTheIdentity(t *testing.T) {
	for want, id := range map[transport.CloseCode]*call.Identity{transport.CloseTryAgainLater: {ID: "x\ny"}, transport.CloseNotAuthenticated: nil} {
		bubble.Test(t, func(t *testing.T) {
			net := hubtest.New(t, nil)
			near, far := transport.Pipe(nil)
			accepted := make(chan bool)
			go func() { accepted <- net.Hub.Accept(far, id) }()
			_, err := near.Read()
			if ce, ok := errors.AsType[*transport.CloseError](err); !ok || ce.Code != want {
				t.Errorf("%v, want %v", err, want)
			}
			near.Abort()
			if <-accepted {
				t.Errorf("accepted %v", id)
			}
		})
	}
}

func TestTokenSetChecksIdentities(t *testing.T) {
	s, err := hub.NewTokenSet(hub.Token{Secret: "s", Identity: call.Identity{ID: "caf\xe9"}})
	if s != nil || !errors.Is(err, hub.ErrOptions) || !strings.Contains(err.Error(), `"caf\xe9"`) {
		t.Errorf("%v, %v", s, err)
	}
}

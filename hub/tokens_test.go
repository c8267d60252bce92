package hub_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// checked asks a set of tokens at each dial, as a hub behind HTTP does.
type checked struct {
	*hubtest.Wire
	net *hubtest.Network
	set *hub.TokenSet
}

func (d *checked) Dial(ctx context.Context, url string, header http.Header) (transport.Conn, error) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = header
	id, err := hub.Authenticator(d.set.Authenticate).Identify(r)
	if err != nil {
		return nil, &transport.HandshakeError{Status: http.StatusUnauthorized, Refused: transport.RefusedUnauthenticated, Err: err}
	}
	return d.net.Dialer(id).Dial(ctx, url, header)
}

// Replacing the tokens closes the connections whose token is gone, and no others; a spoke with a new token of
// the same identity resumes its session.
func TestReplacedTokens(t *testing.T) {
	token := func(secret, id string, scopes ...string) hub.Token {
		return hub.Token{Secret: secret, Identity: call.Identity{ID: id, Scopes: scopes}}
	}
	bubble.Test(t, func(t *testing.T) {
		set, err := hub.NewTokenSet(token("keep", "keep"), token("old", "rotates"), token("gone", "gone"), token("scopes", "scopes", "a"))
		if err != nil {
			t.Fatal(err)
		}
		net := hubtest.New(t, nil)
		var mu sync.Mutex
		secrets := map[string]string{"keep": "keep", "rotates": "old", "gone": "gone", "scopes": "scopes"}
		spokes := map[string]*hubtest.Spoke{}
		for id := range secrets {
			spokes[id] = net.Spoke(id, &spoke.Options{Dialer: &checked{net.Dialer(nil), net, set}, Token: func(context.Context) (string, error) {
				mu.Lock()
				defer mu.Unlock()
				return secrets[id], nil
			}}, nil)
		}
		later(time.Minute)
		mu.Lock()
		secrets["rotates"] = "new"
		mu.Unlock()
		if err := set.Replace(token("keep", "keep"), token("new", "rotates"), token("scopes", "scopes", "b")); err != nil {
			t.Fatal(err)
		}
		later(10 * time.Second)
		for id, want := range map[string]struct {
			state   spoke.State
			resumed uint64
			dials   uint64
		}{
			"keep": {spoke.Registered, 0, 1}, "rotates": {spoke.Registered, 1, 2}, "scopes": {spoke.Registered, 1, 2},
		} {
			if s := spokes[id]; s.State() != want.state || s.Stats().Resumed != want.resumed || s.Stats().Connections != want.dials {
				t.Errorf("%s: %+v: %v", id, s.Stats(), s.LastError())
			}
		}
		err = spokes["gone"].Wait()
		if he, ok := errors.AsType[*transport.HandshakeError](err); !ok || he.Refused != transport.RefusedUnauthenticated {
			t.Errorf("gone: %v", err)
		}
	})
}

func TestTokenSetRefuses(t *testing.T) {
	good := hub.Token{Secret: "s", Identity: call.Identity{ID: "a"}}
	set, err := hub.NewTokenSet(good, good)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]hub.Token{
		"empty secret": {Identity: call.Identity{ID: "a"}},
		"no id":        {Secret: "x"},
		"space":        {Secret: " x", Identity: call.Identity{ID: "a"}},
		"control":      {Secret: "x\n", Identity: call.Identity{ID: "a"}},
		"twice":        {Secret: "s", Identity: call.Identity{ID: "b"}},
	} {
		if err := set.Replace(good, bad); !errors.Is(err, hub.ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer s")
	id, err := set.Authenticate(r)
	if err != nil || id.ID != "a" || id.Ended(time.Now()) {
		t.Errorf("the set has changed: %v, %v", id, err)
	}
	if err := set.Replace(); err != nil || !id.Ended(time.Now()) {
		t.Errorf("%v: the removed token's identity lives on", err)
	}
	if _, err := set.Authenticate(r); !errors.Is(err, hub.ErrUnauthenticated) {
		t.Error(err)
	}
}

// A spoke is asked for its credentials again now, on whichever hub it is, and keeps its calls.
func TestReauthenticate(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		backplanes := &hub.MemoryLinks{}
		directory := &hub.MemoryDirectory{}
		options := func() *hub.Options {
			return &hub.Options{AllowAnonymous: true, Backplane: &hub.Backplane{Directory: directory, Links: backplanes}}
		}
		one, other := hubtest.New(t, options()), hubtest.New(t, options())
		tokens := 0
		a := one.Spoke("a", &spoke.Options{Token: func(context.Context) (string, error) { tokens++; return "x", nil }}, func(r *call.Registry) {
			_ = call.Handle(r, call.Operation{Name: "test.slow"}, func(context.Context, any) (string, error) { later(time.Minute); return "done", nil })
		})
		ended := make(chan error, 1)
		go func() {
			_, err := call.Invoke[string](t.Context(), one.Hub, "test.slow", nil, call.Timeout(time.Hour))
			ended <- err
		}()
		later(time.Second)
		for i, h := range []*hub.Hub{one.Hub, other.Hub} {
			if ok, err := h.Reauthenticate(t.Context(), "a"); !ok || err != nil {
				t.Errorf("%v, %v", ok, err)
			}
			later(5 * time.Second)
			if ce, ok := errors.AsType[*transport.CloseError](a.LastError()); !ok || ce.Code != transport.CloseCredentialsExpired || tokens != i+2 {
				t.Errorf("%v, %d tokens", a.LastError(), tokens)
			}
		}
		if err := <-ended; err != nil || a.Stats().Resumed != 2 {
			t.Errorf("%v, %+v", err, a.Stats())
		}
		if ok, err := other.Hub.Reauthenticate(t.Context(), "nobody"); ok || err != nil {
			t.Errorf("nobody: %v, %v", ok, err)
		}
	})
}

// A token that was replaced by an equal one remains the same: the connections that were made with it end when it is removed.
func TestTokenRemovedAfterAnEqualOne(t *testing.T) {
	token := hub.Token{Secret: "s", Identity: call.Identity{ID: "a"}}
	set, err := hub.NewTokenSet(token)
	must(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	must(t, err)
	r.Header.Set("Authorization", "Bearer s")
	before, err := set.Authenticate(r)
	must(t, err)
	must(t, set.Replace(token))
	after, err := set.Authenticate(r)
	must(t, err)
	for _, id := range []*call.Identity{before, after} {
		if id.Ended(time.Now()) {
			t.Error("an unchanged token has ended")
		}
	}
	must(t, set.Replace())
	for _, id := range []*call.Identity{before, after} {
		if !id.Ended(time.Now()) {
			t.Error("a removed token has not ended")
		}
	}
}

// The token of a request is that of its Authorization header, or of an offered subprotocol, in base64url with or without padding.
func TestBearerTokenOfARequest(t *testing.T) {
	for _, c := range []struct{ authorization, protocols, want string }{
		{"", "", ""}, {"Bearer abc", "", "abc"}, {"bearer  abc ", "", "abc"}, {"Basic abc", "", ""}, {"Bearer", "", ""},
		{"", "hubspoke.v1, hubspoke.bearer.YWJj", "abc"}, {"", "hubspoke.bearer.YWI=", "ab"}, {"", "hubspoke.bearer.YWI", "ab"},
		{"", "hubspoke.bearer.!!, hubspoke.bearer.YWJj", "abc"}, {"", "hubspoke.bearer.!!", ""}, {"", "hubspoke.v1", ""}, {"", "hubspoke.bearer.", ""},
		{"Bearer abc", "hubspoke.bearer.eHl6", "abc"}, {"Basic abc", "hubspoke.bearer.eHl6", "xyz"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		if c.authorization != "" {
			r.Header.Set("Authorization", c.authorization)
		}
		if c.protocols != "" {
			r.Header.Set("Sec-WebSocket-Protocol", c.protocols)
		}
		if got := hub.BearerToken(r); got != c.want {
			t.Errorf("%q and %q: %q, want %q", c.authorization, c.protocols, got, c.want)
		}
	}
}

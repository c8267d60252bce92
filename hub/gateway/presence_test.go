package gateway_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
)

// A reader hears of the spokes that it may see, until its credentials have ended;
// then it may not come again with them.
func TestPresenceAndExpiry(t *testing.T) {
	expires := time.Now().Add(3 * time.Second)
	tokens := hub.BearerTokens([]hub.Token{
		{Secret: "workers", Identity: call.Identity{ID: "workers", Scopes: []string{"hold:*"}}},
		{Secret: "reader", Identity: call.Identity{ID: "reader", Scopes: []string{"subscribe:*", "list:worker-*"}, Expires: expires}},
	})
	lax := func(r *http.Request) (*call.Identity, error) { // an authenticator that does not look at the time
		if hub.BearerToken(r) == "reader" {
			return &call.Identity{ID: "reader", Scopes: []string{"subscribe:*", "list:worker-*"}, Expires: expires}, nil
		}
		return tokens(r)
	}
	s := newSite(t, &hub.Options{Authenticate: lax, Authorize: hub.AuthorizeScopes()}, nil)
	read := func(topic string) *http.Response {
		return s.start(t.Context(), get("/events/"+topic).with("Authorization", "Bearer reader"))
	}
	if res := read("hub.spoke.connected:secret"); res.StatusCode != http.StatusForbidden { //nolint:bodyclose // start closes it with the test
		t.Errorf("another's presence: %d", res.StatusCode)
	}
	body := read("hub.spoke.connected").Body //nolint:bodyclose // likewise
	lines := bufio.NewReader(body)
	wantLines(t, lines, ": live", "")
	none := func(*call.Registry) error { return nil }
	s.join("secret", "workers", none)
	s.join("worker-1", "workers", none)
	rest, err := io.ReadAll(lines) // to the end, which is the expiry
	if err != nil || !strings.Contains(string(rest), `"worker-1"`) || strings.Contains(string(rest), "secret") || time.Now().Before(expires) {
		t.Errorf("%q, %v", rest, err)
	}
	if res := read("hub.spoke.connected"); res.StatusCode != http.StatusUnauthorized { //nolint:bodyclose // likewise
		t.Errorf("after the expiry: %d", res.StatusCode)
	}
}

// An event stream ends when the token of its reader is removed.
func TestEventsEndWithTheToken(t *testing.T) {
	set, err := hub.NewTokenSet(hub.Token{Secret: "reader", Identity: call.Identity{ID: "reader"}})
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, &hub.Options{Authenticate: set.Authenticate}, nil)
	res := s.start(t.Context(), get("/events/t").with("Authorization", "Bearer reader")) //nolint:bodyclose // start closes it with the test
	lines := bufio.NewReader(res.Body)
	wantLines(t, lines, ": live", "")
	if err := set.Replace(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
}

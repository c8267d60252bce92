package spoke_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/spoke"
)

// An operation whose name is the hub's is refused when it is added, also before the first connection.
func TestReservedOperation(t *testing.T) {
	s, err := spoke.New("ws://hub.test/", nil)
	if err != nil {
		t.Fatal(err)
	}
	err = call.Handle(s.Operations(), call.Operation{Name: "hub.x"}, func(context.Context, any) (any, error) { return 1, nil })
	if !errors.Is(err, call.ErrInvalidOperation) {
		t.Errorf("%v", err)
	}
}

// A URL without a scheme is refused with what it needs.
func TestURLWithoutScheme(t *testing.T) {
	for _, url := range []string{"localhost:8080/spoke", "hub.example.com:443/spoke"} {
		if _, err := spoke.New(url, nil); err == nil || !strings.Contains(err.Error(), "begins with ws://") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// A spoke without a token gets an error that says so, not that its token was refused.
func TestHubWantsAToken(t *testing.T) {
	h, err := hub.New(&hub.Options{Authenticate: hub.BearerTokens([]hub.Token{{Secret: "x", Identity: call.Identity{ID: "i"}}})})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	server := httptest.NewServer(h)
	defer server.Close()
	s, err := spoke.New(server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.Run(ctx); err == nil || !strings.Contains(err.Error(), "Options.Token is not set") {
		t.Errorf("%v", err)
	}
}

package redact_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/alkdev/hubspoke/internal/redact"
)

func TestURL(t *testing.T) {
	for raw, want := range map[string]string{
		"wss://hub.test/spoke":                          "wss://hub.test/spoke",
		"ws://user:secret@hub.test:80/a?token=secret#s": "ws://hub.test:80/a",
		"redis://:secret@localhost:6379/0":              "redis://localhost:6379/0",
		"ws://user:sec ret@hub.test":                    "(not a URL)",
		"ws://user:se/cret@hub.test":                    "(not a URL)",
		"user:secret@hub.test":                          "(not a URL)",
		"":                                              "",
	} {
		if got := redact.URL(raw); got != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}

func TestErrorHidesAndKeepsItsChain(t *testing.T) {
	for _, raw := range []string{
		"ws://user:secret@hub.test/", "ws://hub.test/?token=secret", "ws://hub.test/?a=\"secret", "ws://hub.test/?a= secret",
		"ws://hub.test/#secret", "ws://hub.test/?a=b&secret=\\",
	} {
		err := fmt.Errorf("dial: %w", &url.Error{Op: "Get", URL: raw, Err: context.DeadlineExceeded})
		got := redact.Error(err)
		if strings.Contains(got.Error(), "secret") || !strings.Contains(got.Error(), "hub.test") || !errors.Is(got, context.DeadlineExceeded) {
			t.Errorf("%q: %v", raw, got)
		}
	}
	plain := errors.New("no route to host")
	if got := redact.Error(plain); got != plain { //nolint:errorlint // the very same
		t.Errorf("%v", got)
	}
	if redact.Error(nil) != nil {
		t.Error("nil")
	}
	text := redact.Text("moved to https://u:secret@a.test/x?secret, then (wss://b.test/?secret).")
	if text != "moved to https://a.test/x, then (wss://b.test/)." {
		t.Error(text)
	}
}

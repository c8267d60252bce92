package origin_test

import (
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/alkdev/hubspoke/internal/origin"
)

func TestCheck(t *testing.T) {
	patterns := []string{"app.example.com", "https://*.Example.org", "http://dev.test:8080", "any.test:*", "https://tls.test:443"}
	for _, c := range []struct {
		origin, host   string
		allowed, cross bool
	}{
		{"", "hub.test", true, false},
		{"https://hub.test", "hub.test", true, false},
		{"http://hub.test", "hub.test", true, false}, // a proxy in front may have ended TLS
		{"HTTPS://Hub.TEST", "hub.test", true, false},
		{"https://hub.test", "hub.test:443", true, false},
		{"https://hub.test:443", "hub.test", true, false},
		{"http://hub.test", "hub.test:80", true, false},
		{"https://hub.test", "hub.test:80", false, true},
		{"https://hub.test", "hub.test:8443", false, true},
		{"https://hub.test:8443", "hub.test:8443", true, false},
		{"https://[::1]", "[::1]:443", true, false},
		{"https://[::1]:8443", "[::1]", false, true},
		{"https://app.example.com", "hub.test", true, true},
		{"https://app.example.com:443", "hub.test", true, true},
		{"http://app.example.com", "hub.test", true, true},
		{"https://app.example.com:444", "hub.test", false, true},
		{"https://a.example.org", "hub.test", true, true},
		{"http://a.example.org", "hub.test", false, true},
		{"http://dev.test:8080", "hub.test", true, true},
		{"https://any.test", "hub.test", true, true},
		{"https://any.test:9", "hub.test", true, true},
		{"https://tls.test", "hub.test", true, true},
		{"https://evil.test", "hub.test", false, true},
		{"null", "hub.test", false, true},
		{"null", "", false, true},
		{"://", "hub.test", false, true},
		{"https://hub.test%", "hub.test", false, true},
	} {
		p, err := origin.New(patterns)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = c.host
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		cross, err := p.Check(r)
		if (err == nil) != c.allowed || cross != c.cross || err != nil && !errors.Is(err, origin.ErrNotAllowed) {
			t.Errorf("%q at %q: %v, %v", c.origin, c.host, cross, err)
		}
		if _, err := origin.Anything.Check(r); err != nil {
			t.Errorf("%q is not allowed by Anything: %v", c.origin, err)
		}
	}
}

func TestPatternsThatMatchNothing(t *testing.T) {
	for _, pattern := range []string{"", "[", "https://", "https://[a", "https://a.test/", "a.test/b", "a.test#b", " a.test", "a.test\n"} {
		if _, err := origin.New([]string{"ok.test", pattern}); err == nil {
			t.Errorf("%q was taken", pattern)
		}
	}
	if p, err := origin.New([]string{"*"}); err != nil {
		t.Error(err)
	} else if _, err := p.Check(httptest.NewRequest("GET", "/", nil)); err != nil {
		t.Error(err)
	}
}

package main

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

func quiet() streams { return streams{strings.NewReader(""), io.Discard, io.Discard} }

func TestCallFlags(t *testing.T) {
	for _, c := range []struct {
		args []string
		want callFlags
	}{
		{[]string{"a.b"}, callFlags{operation: "a.b"}},
		{[]string{"a.b", `{"x":1}`, "-to", "w", "-timeout=5s"}, callFlags{operation: "a.b", input: []byte(`{"x":1}`), to: "w", timeout: 5 * time.Second}},
		{[]string{"-to", "w", "a.b", "--timeout", "5s", "3"}, callFlags{operation: "a.b", input: []byte("3"), to: "w", timeout: 5 * time.Second}},
		{[]string{"a.b", "-5"}, callFlags{operation: "a.b", input: []byte("-5")}},
		{[]string{"-to", "-5", "--", "a.b", "-5"}, callFlags{operation: "a.b", input: []byte("-5"), to: "-5"}},
		{[]string{"a.b", "-"}, callFlags{operation: "a.b", input: []byte(" [1] ")}},
	} {
		std := quiet()
		std.in = strings.NewReader(" [1] ")
		t.Setenv("HUBSPOKE_TOKEN", "from-env")
		got, err := parseCall(c.args, std)
		if err != nil {
			t.Errorf("%q: %v", c.args, err)
			continue
		}
		if got.operation != c.want.operation || string(got.input) != string(c.want.input) || got.to != c.want.to ||
			got.timeout != c.want.timeout || got.token != "from-env" || got.hub != "http://127.0.0.1:8080" {
			t.Errorf("%q: %+v", c.args, got)
		}
	}
}

func TestHubFlags(t *testing.T) {
	f, err := parseHub([]string{"-token", "a=s1", "-token", "b=s=2:read,write", "-origin", "x.test", "-origin", "y.test"}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	if len(f.tokens) != 2 || f.tokens[1].Secret != "s=2" || f.tokens[1].Identity.ID != "b" ||
		!slices.Equal(f.tokens[1].Identity.Scopes, []string{"read", "write"}) || len(f.tokens[0].Identity.Scopes) != 0 {
		t.Errorf("tokens: %+v", f.tokens)
	}
	if f.listen != "127.0.0.1:8080" || f.maxMessage != 8<<20 || !slices.Equal(f.origins, []string{"x.test", "y.test"}) {
		t.Errorf("%+v", f)
	}
	s, err := parseSpoke([]string{"-label", "region=eu", "-label", "tier=a=b", "-id", "w", "-hub", "ws://a", "-hub", "ws://b"}, quiet())
	if err != nil || s.labels.String() != "region=eu tier=a=b" || s.id != "w" || !slices.Equal(s.hubs, []string{"ws://a", "ws://b"}) {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestWrongUsage(t *testing.T) {
	for _, args := range [][]string{
		{}, {"nothing"},
		{"hub", "-redis", "127.0.0.1:6379"}, {"hub", "-redis", "http://127.0.0.1"}, {"hub", "extra"}, {"hub", "-nothing"}, {"hub", "-max-message", "0"},
		{"hub", "-token", "secret"}, {"hub", "-token", "a="}, {"hub", "-token", "=s"}, {"hub", "-token", "a=s", "-token", "b=s"},
		{"hub", "-origin", "["}, {"hub", "-listen"},
		{"spoke", "-hub", "ftp://x"}, {"spoke", "-label", "x"}, {"spoke", "extra"},
		{"call"}, {"call", "a.b", "{"}, {"call", "a.b", "1", "2"}, {"call", "a.b", "-timeout", "5"}, {"call", "a.b", "-timeout", "-5s"},
		{"call", "a.b", "-hub", "127.0.0.1:8080"}, {"call", "a.b", "-hub", "ftp://x"}, {"call", "a.b", "-hub", "ws://"},
		{"demo", "-in-flight", "0"}, {"demo", "extra"}, {"demo", "-hubs", "0"}, {"demo", "-hubs", "2"},
		{"demo", "-hubs", "2", "-redis", "127.0.0.1:6379"}, {"demo", "-hubs", "9", "-redis", "redis://127.0.0.1"},
	} {
		var out, errs bytes.Buffer
		if code := run(context.Background(), args, streams{strings.NewReader(""), &out, &errs}); code != 2 || errs.Len() == 0 || out.Len() != 0 {
			t.Errorf("%q: exit %d, stdout %q, stderr %q", args, code, &out, &errs)
		}
	}
	var out, errs bytes.Buffer
	if code := run(context.Background(), []string{"help"}, streams{nil, &out, &errs}); code != 0 || !strings.Contains(out.String(), "hub-spoke demo") {
		t.Errorf("help: exit %d, %q", code, &out)
	}
	if code := run(context.Background(), []string{"hub", "-h"}, streams{nil, &out, &errs}); code != 0 || !strings.Contains(errs.String(), "-listen") {
		t.Errorf("hub -h: exit %d, %q", code, &errs)
	}
	if code := run(context.Background(), []string{"demo", "-src", t.TempDir()}, quiet()); code != 1 {
		t.Errorf("a demo of nothing: exit %d", code)
	}
}

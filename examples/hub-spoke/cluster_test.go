package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/internal/redistest"
)

// Two hubs on one Redis are one: what a spoke of the second serves is called through the first.
func (p program) testTwoHubs(t *testing.T) {
	server := redistest.Start(t)
	_, first := p.start(t, "listening on ", "hub", "-listen", "127.0.0.1:0", "-redis", server.URL())
	_, second := p.start(t, "listening on ", "hub", "-listen", "127.0.0.1:0", "-redis", server.URL())
	p.start(t, "registered as ", "spoke", "-hub", webSocket(second), "-id", "on-second")

	p.wantCounted(t, first, "text.wordcount", "-to", "on-second")
	p.wantCounted(t, first, "text.wordcount")
	stdout, stderr, code := p.run(t, "", "call", "-hub", webSocket(first), "text.lines", `{"text":"a\nb"}`)
	if code != 0 || stdout != "{\"number\":1,\"line\":\"a\"}\n{\"number\":2,\"line\":\"b\"}\n" {
		t.Errorf("a stream through the other hub: exit %d, %q, %q", code, stdout, stderr)
	}
	if h := healthOf(t, first); h.Status != hub.StatusOK || len(h.Reasons) != 0 {
		t.Errorf("with Redis: %+v", h)
	}

	server.Kill()
	redistest.Poll(t, "the hub is degraded", func() bool { return healthOf(t, first).Status == hub.StatusDegraded })
	if h := healthOf(t, first); len(h.Reasons) == 0 {
		t.Errorf("without Redis: %+v", h)
	}
	_, stderr, code = p.run(t, "", "call", "-hub", first, "text.wordcount", `{"text":""}`)
	if code != 1 || !strings.HasPrefix(stderr, "UNAVAILABLE: ") {
		t.Errorf("a call to the other hub without Redis: exit %d, %q", code, stderr)
	}
	p.wantCounted(t, second, "text.wordcount") // what is local goes on

	server.RestartEmpty()
	redistest.Poll(t, "both hubs are well", func() bool {
		return healthOf(t, first).Status == hub.StatusOK && healthOf(t, second).Status == hub.StatusOK
	})
	p.wantCounted(t, first, "text.wordcount", "-to", "on-second")
}

func webSocket(url string) string { return "ws" + strings.TrimPrefix(url, "http") + "/spoke" }

// wantCounted makes a call through the hub.
func (p program) wantCounted(t *testing.T, hub string, args ...string) {
	t.Helper()
	args = append([]string{"call", "-hub", hub}, append(args, `{"text":"one two"}`)...)
	stdout, stderr, code := p.run(t, "", args...)
	if code != 0 || stdout != "{\"words\":2,\"lines\":1,\"bytes\":7}\n" {
		t.Errorf("%q: exit %d, %q, %q", args, code, stdout, stderr)
	}
}

// healthOf asks as a load balancer does: any other status than 200 would take the hub out.
func healthOf(t *testing.T, url string) (h hub.Health) {
	t.Helper()
	res, err := http.Get(url + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&h); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("healthz: %s, %v", res.Status, err)
	}
	return h
}

func (p program) testClusterDemo(t *testing.T) {
	server := redistest.Any(t)
	stdout, stderr, code := p.run(t, "", "demo", "-src", someSources(t), "-hubs", "2", "-redis", server.URL())
	if code != 0 || !strings.Contains(stderr, "100%") || strings.Contains(stdout, "differs") || !strings.Contains(stdout, "hub-2 was killed") {
		t.Fatalf("exit %d\n%s\n%s", code, stdout, stderr)
	}
	wantTotals(t, stdout)
	wantGone(t, hubIn(t, stdout))
}

// What is wrong with the Redis is told at the start, in one line that names the flag and no secret.
func (p program) testWrongRedis(t *testing.T) {
	server := redistest.Start(t, redistest.Args("--requirepass", "the-secret"))
	for _, c := range []struct{ url, want string }{
		{"localhost:6379", "the Redis URL is not valid"},
		{"redis://127.0.0.1:1", "cannot be reached"},
		{server.URL(), "wants a password"},
		{strings.Replace(server.URL(), "//", "//:wrong-secret@", 1), "refuses the user name or password"},
		{"redis://" + aged(t, redistest.Start(t).Addr()), "version 6."},
	} {
		for _, command := range [][]string{{"hub", "-listen", "127.0.0.1:0"}, {"demo"}} {
			stdout, stderr, code := p.run(t, "", append(command, "-redis", c.url)...)
			if code != 2 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "-redis: ") ||
				!strings.Contains(stderr, c.want) || strings.Contains(stderr, "-secret") {
				t.Errorf("%s with %s: exit %d, %q, %q", command[0], c.url, code, stdout, stderr)
			}
		}
	}
}

// aged is the address of a proxy that makes a Redis say it is of version 6.
func aged(t *testing.T, addr string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		listener.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", addr)
			if err != nil {
				t.Error(err)
				client.Close()
				return
			}
			wg.Go(func() { _, _ = io.Copy(server, client); server.Close() })
			wg.Go(func() { _, _ = io.Copy(aging{client}, server); client.Close() })
		}
	})
	return listener.Addr().String()
}

type aging struct{ to io.Writer }

var majorVersion = regexp.MustCompile(`redis_version:\d`)

func (a aging) Write(b []byte) (int, error) {
	return a.to.Write(majorVersion.ReplaceAll(b, []byte("redis_version:6"))) // which is as long
}

package main

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
)

// The spoke in js/ was written from the protocol page alone. It is driven here against the real hub.
func TestJavaScriptSpoke(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("HUBSPOKE_NODE") == "required" {
			t.Fatal("Node is missing: install Node.js 20 or newer")
		}
		t.Log("Node is missing, so the JavaScript spoke was not tested; install Node.js 20 or newer to test it")
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	first, second := newJavaScriptHub(t), newJavaScriptHub(t)
	var current atomic.Pointer[hub.Hub]
	current.Store(first)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		current.Load().ServeHTTP(w, r)
	}))
	defer server.Close()

	worker := exec.CommandContext(ctx, node, "js/spoke.mjs",
		"ws"+strings.TrimPrefix(server.URL, "http"), "--id", "js-1", "--token", "js-secret")
	stdout, err := worker.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stdout)
	waitRegistered(t, lines)
	t.Run("call", func(t *testing.T) { callJavaScript(ctx, t, first) })
	t.Run("stream", func(t *testing.T) { streamJavaScript(ctx, t, first) })

	t.Run("wrong token", func(t *testing.T) {
		refused := exec.CommandContext(ctx, node, "js/spoke.mjs", "ws"+strings.TrimPrefix(server.URL, "http"), "--token", "wrong")
		out, err := refused.CombinedOutput()
		if _, ended := errors.AsType[*exec.ExitError](err); !ended || !strings.Contains(string(out), "stop: 401") {
			t.Errorf("a refused spoke ended with %v: %s", err, out)
		}
	})

	// A hub that goes away sends its spokes to the next one.
	current.Store(second)
	if err := first.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	waitRegistered(t, lines)
	t.Run("call after a restart", func(t *testing.T) { callJavaScript(ctx, t, second) })

	// Asked to end, the spoke drains and leaves by itself.
	if err := worker.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := worker.Wait(); err != nil {
		t.Errorf("the spoke did not leave in order: %v", err)
	}
}

func newJavaScriptHub(t *testing.T) *hub.Hub {
	t.Helper()
	h, err := hub.New(&hub.Options{
		Authenticate: hub.BearerTokens([]hub.Token{{Secret: "js-secret", Identity: call.Identity{ID: "js"}}}),
		DrainSpread:  time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

func waitRegistered(t *testing.T, lines *bufio.Reader) {
	t.Helper()
	if line, err := lines.ReadString('\n'); err != nil || line != "registered as js-1\n" {
		t.Fatalf("the spoke said %q, %v", line, err)
	}
}

type jsText struct {
	Text string `json:"text"`
}

func callJavaScript(ctx context.Context, t *testing.T, h *hub.Hub) {
	type counts struct{ Words, Lines, Bytes int }
	got, err := call.Invoke[counts](ctx, h, "text.wordcount", jsText{"one two\nthré\u0085e"}, call.To("js-1"))
	if want := (counts{Words: 4, Lines: 2, Bytes: 16}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	_, err = call.Invoke[counts](ctx, h, "text.wordcount", 5, call.To("js-1"))
	if !errors.Is(err, call.CodeValidation) {
		t.Errorf("a wrong input: %v, want %s", err, call.CodeValidation)
	}
	_, err = call.Invoke[counts](ctx, h, "text.unknown", nil, call.To("js-1"))
	if !errors.Is(err, call.CodeOperationNotFound) {
		t.Errorf("an unknown operation: %v, want %s", err, call.CodeOperationNotFound)
	}
}

func streamJavaScript(ctx context.Context, t *testing.T, h *hub.Hub) {
	type numbered struct {
		Line   string `json:"line"`
		Number int    `json:"number"`
	}
	const many = 200 // more than the credit of one round
	text := jsText{strings.Repeat("line\n", many)}
	read := 0
	for got, err := range call.Stream[numbered](ctx, h, "text.lines", text, call.To("js-1")) {
		read++
		if want := (numbered{"line", read}); err != nil || got != want {
			t.Fatalf("got %+v, %v, want %+v", got, err, want)
		}
	}
	if read != many {
		t.Errorf("read %d lines, want %d", read, many)
	}
	// A reader that leaves ends the stream; the spoke goes on serving.
	for range call.Stream[numbered](ctx, h, "text.lines", text, call.To("js-1")) {
		break
	}
	callJavaScript(ctx, t, h)
}

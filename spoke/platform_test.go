package spoke_test

import (
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
)

// A spoke that is built for js/wasm works on the WebSocket of its platform: it authenticates by the subprotocol, and stops on a token that the
// hub does not accept, for which it sees no status.
func TestPlatformSpoke(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("HUBSPOKE_NODE") == "required" {
			t.Fatal("Node is missing: install Node.js 20 or newer")
		}
		t.Log("Node is missing, so the spoke for js/wasm was not tested; install Node.js 20 or newer to test it")
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	program := filepath.Join(t.TempDir(), "spoke.wasm")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./testdata/platform")
	build.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	h, err := hub.New(&hub.Options{Authenticate: hub.BearerTokens([]hub.Token{{Secret: "right", Identity: call.Identity{ID: "platform"}}})})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	defer server.Close()
	defer h.Close()
	run := func(token string) *exec.Cmd {
		return exec.CommandContext(ctx, node, "--experimental-websocket",
			filepath.Join(strings.TrimSpace(string(root)), "lib", "wasm", "wasm_exec_node.js"), program, server.URL, token)
	}
	out, err := run("wrong").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "4500") || !strings.Contains(string(out), "unauthenticated") {
		t.Errorf("wrong token: %v\n%s", err, out)
	}

	worker := run("right")
	var said strings.Builder
	worker.Stdout, worker.Stderr = &said, &said
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	calls, stop := context.WithCancel(ctx)
	go func() { ended <- worker.Wait(); stop() }() // without it the calls would wait for their whole time
	big := strings.Repeat("ä", 200_000)            // more than Write hands over without waiting
	for _, in := range []string{"hello", "", big} {
		got, err := call.Invoke[string](calls, h, "test.echo", in, call.WaitForSpoke(), call.Timeout(time.Minute))
		if err != nil || got != in {
			t.Errorf("%d bytes came back as %d: %v", len(in), len(got), err)
		}
	}
	if _, err := h.Disconnect(ctx, "platform", "enough"); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil || !strings.Contains(said.String(), "4503") {
		t.Errorf("%v\n%s", err, said.String())
	}
}

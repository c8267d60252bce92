package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The program is built and run as its users run it.
func TestProcesses(t *testing.T) {
	name := filepath.Join(t.TempDir(), "hub-spoke.exe")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", name, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p := program{name}
	t.Run("hub, spoke and call", p.testCommands)
	t.Run("demo", p.testDemo)
	t.Run("two hubs", p.testTwoHubs)
	t.Run("demo of two hubs", p.testClusterDemo)
	t.Run("a Redis that is not right", p.testWrongRedis)
	t.Run("interrupted demo", p.testInterruptedDemo)
	t.Run("orphans end", p.testOrphans)
}

type program struct{ path string }

// start starts a process and gives what follows prefix on its first line.
func (p program) start(t *testing.T, prefix string, args ...string) (*process, string) {
	t.Helper()
	c, err := startProcess(args[0], p.path, args, append(os.Environ(), "HUBSPOKE_TOKEN=worker-secret"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.stop)
	rest, err := c.announced(t.Context(), prefix)
	if err != nil {
		t.Fatalf("%v\n%s", err, c.logs.text())
	}
	return c, rest
}

// run runs a command to its end.
func (p program) run(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), p.path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// terminate asks the process to end and gives its exit code.
func terminate(t *testing.T, c *process) int {
	t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.done:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s does not end\n%s", c.name, c.logs.text())
	}
	return c.cmd.ProcessState.ExitCode()
}

func (p program) testCommands(t *testing.T) {
	hub, url := p.start(t, "listening on ", "hub", "-listen", "127.0.0.1:0",
		"-token", "worker=worker-secret", "-token", "anna=anna-secret:read")
	ws := "ws" + strings.TrimPrefix(url, "http") + "/spoke"
	spoke, id := p.start(t, "registered as ", "spoke", "-hub", ws, "-id", "worker/7", "-label", "region=eu")
	if id != "worker/7" {
		t.Errorf("registered as %q", id)
	}
	big := fmt.Sprintf(`{"text":%q}`, strings.Repeat("word ", 700_000))
	for _, c := range []struct {
		args          []string
		stdin         string
		stdout, error string
		code          int
	}{
		{args: []string{"text.wordcount", `{"text":"one two\nthree"}`}, stdout: "{\"words\":3,\"lines\":2,\"bytes\":13}\n"},
		{args: []string{"text.wordcount", "-to", "worker/7", "-"}, stdin: `{"text":"x"}`, stdout: "{\"words\":1,\"lines\":1,\"bytes\":1}\n"},
		{args: []string{"text.wordcount", "-timeout", "20s", "-"}, stdin: big, stdout: "{\"words\":700000,\"lines\":1,\"bytes\":3500000}\n"},
		{args: []string{"text.wordcount", "-", "-hub", ws}, stdin: big, stdout: "{\"words\":700000,\"lines\":1,\"bytes\":3500000}\n"},
		{args: []string{"-hub", ws, "text.lines", `{"text":"a\nb"}`}, stdout: "{\"number\":1,\"line\":\"a\"}\n{\"number\":2,\"line\":\"b\"}\n"},
		{args: []string{"text.wordcount"}, error: "VALIDATION_ERROR: ", code: 1},
		{args: []string{"text.nothing"}, error: "OPERATION_NOT_FOUND: ", code: 1},
		{args: []string{"text.nothing", "-hub", ws}, error: "OPERATION_NOT_FOUND: ", code: 1},
		{args: []string{"text.wordcount", "-to", "worker-8"}, error: "SPOKE_NOT_FOUND: ", code: 1},
		{args: []string{"go.symbols", `{"name":"p.go","source":"package"}`}, error: "SYNTAX_ERROR: p.go:1:", code: 1},
		{args: []string{"text.wordcount", "-token", "wrong"}, error: "UNAUTHENTICATED: ", code: 1},
		{args: []string{"text.wordcount", "-token", "wrong", "-hub", ws}, error: "ACCESS_DENIED: ", code: 1},
		{args: []string{"text.wordcount", "-hub", "http://127.0.0.1:1"}, error: "UNAVAILABLE: ", code: 1},
	} {
		args := append([]string{"call"}, c.args...)
		if !strings.Contains(strings.Join(args, " "), "-hub") {
			args = append(args, "-hub", url)
		}
		if !strings.Contains(strings.Join(args, " "), "-token") {
			args = append(args, "-token", "anna-secret")
		}
		stdout, stderr, code := p.run(t, c.stdin, args...)
		if stdout != c.stdout || !strings.HasPrefix(stderr, c.error) || code != c.code || c.error == "" && stderr != "" {
			t.Errorf("%q: exit %d, stdout %q, stderr %q", c.args, code, stdout, stderr)
		}
	}

	if code := terminate(t, spoke); code != 0 {
		t.Errorf("the spoke left with %d\n%s", code, spoke.logs.text())
	}
	// An event stream that is open does not hold the hub up.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/events/t", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer anna-secret")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if line, err := bufio.NewReader(res.Body).ReadString('\n'); err != nil || line != ": live\n" {
		t.Errorf("%q, %v", line, err)
	}
	if code := terminate(t, hub); code != 0 {
		t.Errorf("the hub ended with %d\n%s", code, hub.logs.text())
	}
	if strings.Contains(hub.logs.text(), "-secret") {
		t.Error("the log tells secrets")
	}
}

// someSources is a directory with five files to be counted, one of them not right and one large.
func someSources(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.go": "package a\n\nfunc F() {}\n", "b/b.go": "package b\n\nvar x, y int\n", "b/broken.go": "package",
		"c.go": "package c // \xff\xfe\n", "d.txt": "no", "big.go": "package big\n" + strings.Repeat("// a \"comment\"\n", 200_000),
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func (p program) testDemo(t *testing.T) {
	stdout, stderr, code := p.run(t, "", "demo", "-src", someSources(t))
	if code != 0 || !strings.Contains(stderr, "100%") || strings.Contains(stdout, "differs") {
		t.Fatalf("exit %d\n%s\n%s", code, stdout, stderr)
	}
	wantTotals(t, stdout)
	wantGone(t, hubIn(t, stdout))
}

// wantTotals reads the tables of a demo with someSources.
func wantTotals(t *testing.T, stdout string) {
	t.Helper()
	rows := map[string]string{}
	for l := range strings.Lines(stdout) {
		if fields := strings.Fields(l); len(fields) > 1 {
			rows[fields[0]] = strings.Join(fields[1:], " ")
		}
	}
	if !strings.HasPrefix(rows["total"], "5 ") || rows["files"] != "5 5" || rows["vars"] != "2 2" || !strings.Contains(rows["not"], "1 1") {
		t.Errorf("%s", stdout)
	}
}

// hubIn finds the hub's address in the first line of a demo.
func hubIn(t *testing.T, text string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, "http://")
	if !ok {
		t.Fatalf("no address in %q", text)
	}
	return rest[:strings.IndexAny(rest, ", ")]
}

func wantGone(t *testing.T, address string) {
	t.Helper()
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("the demo's hub is still there")
	}
}

func (p program) testInterruptedDemo(t *testing.T) {
	demo, rest := p.start(t, "a hub at ", "demo")
	if err := demo.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-demo.done
	if code := demo.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit %d\n%s", code, demo.logs.text())
	}
	wantGone(t, hubIn(t, rest))
}

// What the demo starts ends also when the demo has no chance to end it.
func (p program) testOrphans(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), p.path, "hub", "-listen", "127.0.0.1:0", "-until-eof")
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(output).ReadString('\n'); err != nil || !strings.HasPrefix(line, "listening on http://127.0.0.1:") {
		t.Errorf("%q, %v", line, err)
	}
	input.Close()
	_, _ = io.Copy(io.Discard, output)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

//go:build operations

package operations

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/internal/redistest"
)

// build compiles a program of blocks of the page, as if it were in a directory of this module.
func build(t testing.TB, blocks ...string) string {
	t.Helper()
	dir := t.TempDir()
	here, err := filepath.Abs("made")
	if err != nil {
		t.Fatal(err)
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for _, name := range blocks {
		overlay.Replace[filepath.Join(here, name)] = write(t, name, block(t, name))
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "program")
	build := exec.Command("go", "build", "-overlay", write(t, "overlay.json", string(text)), "-o", program, "./made")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build of %v: %v\n%s", blocks, err, out)
	}
	return program
}

// process is a program that runs.
type process struct {
	t      testing.TB
	name   string
	cmd    *exec.Cmd
	output output
	ended  chan struct{} // closed when it has ended
	err    error         // set before
}

// output is what a process has written.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start runs a program with an environment. It ends with the test.
func start(t testing.TB, name string, environment []string, program string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, cmd: exec.Command(program, args...), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), environment...)
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.ended:
		case <-time.After(10 * time.Second):
			_ = p.cmd.Process.Kill()
			<-p.ended
		}
		if t.Failed() {
			all := p.output.String()
			t.Logf("%s wrote, at last:\n%s", p.name, all[max(0, len(all)-3000):])
		}
	})
	return p
}

// terminate sends SIGTERM and waits for a clean end.
func (p *process) terminate() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	p.wait()
}

func (p *process) wait() {
	p.t.Helper()
	select {
	case <-p.ended:
		if p.err != nil {
			p.t.Errorf("%s ended with %v", p.name, p.err)
		}
	case <-time.After(time.Minute):
		p.t.Fatalf("%s does not end", p.name)
	}
}

// freeAddr is an address on which nothing listens.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// hubs are the page's hub programs, on one Redis.
type hubs struct {
	t       testing.TB
	program string
	env     []string
}

const token = "a-token-for-the-test"

func newHubs(t testing.TB, connect string, env ...string) *hubs {
	t.Helper()
	return &hubs{t, build(t, "hub.go", connect), append(env, "TOKEN="+token)}
}

// start starts a hub, at an address of its own, and returns when it is healthy.
func (h *hubs) start() (p *process, addr string) {
	h.t.Helper()
	addr = freeAddr(h.t)
	return h.startAt(addr), addr
}

func (h *hubs) startAt(addr string) *process {
	h.t.Helper()
	p := start(h.t, "hub "+addr, append(h.env, "LISTEN="+addr), h.program)
	redistest.Poll(h.t, "the hub at "+addr, func() bool {
		select {
		case <-p.ended:
			h.t.Fatalf("the hub at %s ended: %v", addr, p.err)
		default:
		}
		return health(addr) == "ok"
	})
	return p
}

// health is the status of a hub, empty where it does not answer.
func health(addr string) string {
	resp, err := http.Get("http://" + addr + "/healthz")
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	var body struct {
		Status string `json:"status"`
	}
	_ = json.NewDecoder(resp.Body).Decode(&body)
	return body.Status
}

// reply is the answer to a call over HTTP.
type reply struct {
	status int
	output string
	notRun bool // an error whose sent is false
	code   string
}

// post calls an operation over HTTP.
func post(client *http.Client, base, operation, input string) (reply, error) {
	req, err := http.NewRequest(http.MethodPost, base+"/call/"+operation, strings.NewReader(input))
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	var body struct {
		Data    any    `json:"data"`
		Code    string `json:"code"`
		Details struct {
			Sent *bool `json:"sent"`
		} `json:"details"`
	}
	_ = json.NewDecoder(resp.Body).Decode(&body) // the status is enough
	r := reply{status: resp.StatusCode, code: body.Code, notRun: body.Details.Sent != nil && !*body.Details.Sent}
	r.output, _ = body.Data.(string)
	return r, nil
}

package redistest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// missing is the one line that a machine without Redis gets.
const missing = "redis-server is not on the PATH: apt-get install redis-server, or brew install redis, or set REDIS_URL"

// binary finds the program to start.
func binary(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal(missing)
	return ""
}

// CLI finds redis-cli (or valkey-cli). Without it the test fails with one line that says what to install.
func CLI(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"redis-cli", "valkey-cli"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("redis-cli is not on the PATH: apt-get install redis-tools, or brew install redis")
	return ""
}

// freeAddr finds a port that nobody listens on.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// process is one running redis-server.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when it has ended and been waited for
}

// startProcess starts the program and returns when it says that it is ready.
func startProcess(program, dir, addr string, args []string) (*process, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, append([]string{
		"--bind", host, "--port", port, "--dir", dir, "--save", "", "--appendonly", "yes",
		"--appendfsync", "no", "--daemonize", "no", "--loglevel", "notice",
	}, args...)...)
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = in, in
	err = cmd.Start()
	_ = in.Close()
	if err != nil {
		_ = out.Close()
		return nil, err
	}
	p := &process{cmd: cmd, exited: make(chan struct{})}
	ready := make(chan error, 1)
	go p.watch(out, ready)
	select {
	case err = <-ready:
	case <-time.After(longest):
		err = errors.New("it was not ready in time")
	}
	if err != nil {
		p.kill()
		return nil, err
	}
	return p, ping(addr)
}

// watch reads what the process prints until it ends, and waits for it. kill joins it.
func (p *process) watch(out *os.File, ready chan<- error) {
	defer close(p.exited)
	defer func() { _ = out.Close() }()
	var last bytes.Buffer
	lines := bufio.NewScanner(out)
	told := false
	for lines.Scan() {
		if told {
			continue
		}
		if last.Len() < 4096 {
			fmt.Fprintf(&last, "\n\t%s", lines.Text())
		}
		if strings.Contains(lines.Text(), "eady to accept connections") {
			told = true
			ready <- nil
		}
	}
	err := p.cmd.Wait()
	if !told {
		ready <- fmt.Errorf("it ended: %w%s", err, last.String())
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // fails only when it has ended
	<-p.exited
}

// ping asks whether the server answers; one that wants a password does.
func ping(addr string) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.close()
	_, err = c.do("PING")
	if err != nil && !strings.HasPrefix(err.Error(), "NOAUTH") {
		return err
	}
	return nil
}

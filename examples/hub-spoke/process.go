package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// killDelay is how long a process that was asked to end may take.
const killDelay = 5 * time.Second

// process is a child. It ends when its standard input does, which is held open here, so that it
// does not outlive this process however that ends.
type process struct {
	name  string
	cmd   *exec.Cmd
	input io.Closer
	ask   context.CancelFunc // asks it to end, and kills it after killDelay
	first firstLine
	logs  tail
	done  chan struct{} // closed when it is gone
	err   error         // set before done is closed
}

func startProcess(name, path string, args, env []string) (*process, error) {
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{name: name, ask: cancel, done: make(chan struct{})}
	p.first.ready = make(chan struct{})
	p.cmd = exec.CommandContext(ctx, path, args...)
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, &p.first, &p.logs
	p.cmd.WaitDelay = killDelay
	p.cmd.Cancel = func() error {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return p.cmd.Process.Kill() // where there are no signals
		}
		return nil
	}
	input, err := p.cmd.StdinPipe()
	if err == nil {
		p.input = input
		err = p.cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() { // ends with the process
		defer close(p.done)
		defer cancel()
		p.err = p.cmd.Wait()
	}()
	return p, nil
}

// announced waits for the line in which the process says that it is ready.
func (p *process) announced(ctx context.Context, prefix string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	select {
	case <-p.first.ready:
	case <-p.done:
		return "", fmt.Errorf("%s ended before it was ready: %w", p.name, p.outcome())
	case <-ctx.Done():
		return "", fmt.Errorf("%s is not ready: %w", p.name, context.Cause(ctx))
	}
	rest, ok := strings.CutPrefix(p.first.text(), prefix)
	if !ok {
		return "", fmt.Errorf("%s said %q", p.name, p.first.text())
	}
	return rest, nil
}

// outcome says how a process that is gone has ended.
func (p *process) outcome() error {
	if p.err == nil {
		return errors.New("exit status 0")
	}
	return p.err
}

// kill ends it without a chance to say goodbye, and returns when it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // fails only when it is gone
	<-p.done
}

// stop asks it to end and returns when it is gone.
func (p *process) stop() {
	p.ask()
	<-p.done
	_ = p.input.Close() // Wait has closed it
}

// firstLine keeps the first line of what is written and lets the rest go.
type firstLine struct {
	mu    sync.Mutex // guards the fields below
	line  []byte
	over  bool
	ready chan struct{} // closed when the line is whole
}

func (f *firstLine) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return len(b), nil
	}
	head, _, whole := bytes.Cut(b, []byte("\n"))
	f.line = append(f.line, head...)
	if whole {
		f.over = true
		close(f.ready)
	}
	return len(b), nil
}

func (f *firstLine) text() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return string(f.line)
}

// tail keeps the end of what is written.
type tail struct {
	mu  sync.Mutex // guards buf
	buf []byte
}

const tailBytes = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - tailBytes; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(b), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}

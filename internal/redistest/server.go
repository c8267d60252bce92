package redistest

import (
	"net/url"
	"os"
	"sync"
	"testing"
	"time"
)

// longest is how long anything here waits before it fails the test.
const longest = 30 * time.Second

// Server is one Redis. Its methods may be called concurrently, but Kill and
// Restart only by one goroutine at a time.
type Server struct {
	t    testing.TB
	addr string
	url  string
	dir  string // empty for a Redis that is not ours
	args []string

	mu   sync.Mutex // guards proc
	proc *process   // nil while it does not run, and for a Redis that is not ours
}

// Option changes how a server is started.
type Option func(*Server)

// Args appends to the command line of redis-server, for instance
// Args("--requirepass", "secret").
func Args(args ...string) Option {
	return func(s *Server) { s.args = append(s.args, args...) }
}

// Start starts a server and returns when it answers. It ends with the test.
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	s := &Server{t: t, dir: t.TempDir()}
	for _, opt := range opts {
		opt(s)
	}
	s.addr = freeAddr(t)
	s.url = "redis://" + s.addr
	s.run()
	t.Cleanup(s.Kill)
	return s
}

// Any returns the Redis at REDIS_URL where that is set, else a server of the
// test's own. Kill and Restart fail the test on the former.
func Any(t testing.TB) *Server {
	t.Helper()
	text := os.Getenv("REDIS_URL")
	if text == "" {
		return Start(t)
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		t.Fatalf("REDIS_URL is not a URL such as redis://127.0.0.1:6379: %q", text)
	}
	return &Server{t: t, addr: u.Host, url: text}
}

// Addr is host and port.
func (s *Server) Addr() string { return s.addr }

// URL is the address as redis://host:port, or what REDIS_URL says.
func (s *Server) URL() string { return s.url }

// Kill ends the process with SIGKILL and returns when it is gone. A server that
// does not run stays so.
func (s *Server) Kill() {
	s.t.Helper()
	s.mine()
	s.mu.Lock()
	proc := s.proc
	s.proc = nil
	s.mu.Unlock()
	if proc != nil {
		proc.kill()
	}
}

// Restart kills the server, if it runs, and starts it anew on the same port with
// the data that it had. It returns when the server answers.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	s.run()
}

// RestartEmpty is Restart without the data.
func (s *Server) RestartEmpty() {
	s.t.Helper()
	s.Kill()
	if err := os.RemoveAll(s.dir); err != nil {
		s.t.Fatal(err)
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	s.run()
}

func (s *Server) mine() {
	s.t.Helper()
	if s.dir == "" {
		s.t.Fatal("the Redis of REDIS_URL is not the test's to kill: use redistest.Start")
	}
}

// run starts the process and waits until it answers.
func (s *Server) run() {
	s.t.Helper()
	proc, err := startProcess(binary(s.t), s.dir, s.addr, s.args)
	if err != nil {
		s.t.Fatalf("start redis-server on %s: %v", s.addr, err)
	}
	s.mu.Lock()
	s.proc = proc
	s.mu.Unlock()
}

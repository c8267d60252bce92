package hub_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/spoke"
)

// fromEnv gives a number that the environment may set, to run a test at its full size.
func fromEnv(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 {
		t.Fatalf("%s=%s is no number of things", name, text)
	}
	return n
}

// site is where hubs live one after the other: a listener whose connections can
// all be cut at once, as a process that is killed does.
type site struct {
	net.Listener
	hub    atomic.Pointer[hub.Hub] // nil: nobody is at home
	missed chan struct{}           // gets one for each who came then, as long as it has room

	mu    sync.Mutex
	conns map[net.Conn]struct{} // guarded by mu
}

func newSite(t *testing.T) *site {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{Listener: l, missed: make(chan struct{}, 1<<16), conns: map[net.Conn]struct{}{}}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := s.hub.Load(); h != nil {
			h.ServeHTTP(w, r)
			return
		}
		select {
		case s.missed <- struct{}{}:
		default:
		}
		http.Error(w, "nobody is at home", http.StatusBadGateway)
	}), ReadHeaderTimeout: time.Minute}
	served := make(chan struct{})
	go func() { defer close(served); _ = srv.Serve(s) }()
	t.Cleanup(func() { _ = srv.Close(); <-served })
	return s
}

func (s *site) url() string { return "ws://" + s.Addr().String() }

func (s *site) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &siteConn{Conn: c, site: s}
	s.conns[out] = struct{}{}
	return out, nil
}

// kill leaves the site without a hub and cuts what is connected.
func (s *site) kill() {
	s.hub.Store(nil)
	s.mu.Lock()
	conns := s.conns
	s.conns = map[net.Conn]struct{}{}
	s.mu.Unlock()
	for c := range conns {
		_ = c.(*siteConn).Conn.Close()
	}
}

type siteConn struct {
	net.Conn
	site     *site
	hijacked atomic.Bool // it carried a WebSocket
}

func (c *siteConn) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte("HTTP/1.1 101 ")) {
		c.hijacked.Store(true)
	}
	return c.Conn.Write(p)
}

func (c *siteConn) Close() error {
	c.site.mu.Lock()
	delete(c.site.conns, c)
	c.site.mu.Unlock()
	return c.Conn.Close()
}

func stormHub(t *testing.T) *hub.Hub {
	t.Helper()
	h, err := hub.New(&hub.Options{AllowAnonymous: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Shutdown(cleanupContext(t)); err != nil {
			t.Error(err)
		}
	})
	return h
}

// All spokes of a hub that is killed come back to the next one, which is not there
// at once, and it answers calls meanwhile. HUBSPOKE_STORM says how many there are.
func TestStorm(t *testing.T) {
	n := fromEnv(t, "HUBSPOKE_STORM", 300)
	place := newSite(t)
	first := stormHub(t)
	place.hub.Store(first)
	spokes := startStorm(t, place.url(), n)

	place.kill()
	first.Close()
	for range 2 * n { // each has tried about twice
		<-place.missed
	}
	second := stormHub(t)
	place.hub.Store(second)
	start := time.Now()
	slowest, calls := time.Duration(0), 0
	for second.Stats().Spokes < n {
		began := time.Now()
		// Whoever is back answers.
		out, err := call.Invoke[int](t.Context(), second, "storm.echo", calls, call.WaitForSpoke())
		if err != nil || out != calls {
			t.Fatalf("call %d with %d spokes back: %v, %v", calls, second.Stats().Spokes, out, err)
		}
		slowest, calls = max(slowest, time.Since(began)), calls+1
	}
	took := time.Since(start)
	var attempts int64
	for _, s := range spokes {
		if err := s.Ready(t.Context()); err != nil { // the hub's answer may be on its way
			t.Errorf("spoke %s: %v", s.ID(), err)
		}
		attempts += s.Stats().Attempts
	}
	t.Logf("storm: %d spokes, the last is back after %v with %.1f dials each; meanwhile %d calls, the slowest %v",
		n, took.Round(time.Millisecond), float64(attempts)/float64(n)-1, calls, slowest.Round(time.Millisecond))
}

func startStorm(t *testing.T, url string, n int) []*spoke.Spoke {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	spokes := make([]*spoke.Spoke, n)
	for i := range spokes {
		s, err := spoke.New(url, &spoke.Options{ID: fmt.Sprintf("storm-%d", i)})
		if err != nil {
			t.Fatal(err)
		}
		registered(call.Handle(s.Operations(), call.Operation{Name: "storm.echo"}, func(_ context.Context, in int) (int, error) { return in, nil }))
		spokes[i] = s
		running.Go(func() { _ = s.Run(ctx) })
	}
	for _, s := range spokes {
		if err := s.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return spokes
}

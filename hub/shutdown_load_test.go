package hub_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
)

const loadCalls = 1000

// thousand is a thousand calls in flight: a third from the hub, a third from a spoke
// to a spoke, a third from a spoke to the hub. Their handlers wait for release.
type thousand struct {
	started atomic.Int64
	ran     atomic.Int64
	all     chan struct{} // closed when all have started
	release chan struct{}
	wg      sync.WaitGroup
	failed  atomic.Int64
	first   atomic.Pointer[error]
}

func newThousand() *thousand {
	return &thousand{all: make(chan struct{}), release: make(chan struct{})}
}

func (l *thousand) operations(r *call.Registry) {
	registered(call.Handle(r, call.Operation{Name: "load.hold"}, l.hold))
}

func (l *thousand) hold(ctx context.Context, n int) (int, error) {
	if l.started.Add(1) == loadCalls {
		close(l.all)
	}
	select {
	case <-l.release:
		l.ran.Add(1)
		return n, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

func (l *thousand) start(ctx context.Context, h *hub.Hub, callers []call.Caller) {
	registered(call.Handle(h.Operations(), call.Operation{Name: "hubs.hold"}, l.hold))
	for i := range loadCalls {
		c, operation := callers[i/3%len(callers)], "load.hold"
		switch i % 3 {
		case 0:
			c = h
		case 1:
			operation = "hubs.hold"
		}
		l.wg.Go(func() {
			out, err := call.Invoke[int](ctx, c, operation, i, call.Timeout(time.Minute))
			if err != nil || out != i {
				l.failed.Add(1)
				l.first.CompareAndSwap(nil, &err)
			}
		})
	}
	<-l.all
}

// want fails unless all calls ended well, each having run once.
func (l *thousand) want(t *testing.T) {
	t.Helper()
	l.wg.Wait()
	if n := l.failed.Load(); n > 0 {
		t.Errorf("%d of %d calls failed, the first with %v", n, loadCalls, *l.first.Load())
	}
	if s, r := l.started.Load(), l.ran.Load(); s != loadCalls || r != loadCalls {
		t.Errorf("%d handlers started and %d ended well, want %d", s, r, loadCalls)
	}
}

var loadOptions = hub.Options{MaxInFlight: loadCalls, MaxSpokeInFlight: loadCalls}

// A hub that shuts down with a thousand calls in flight loses none that ends in
// time; the bubble sees that no goroutine is left.
func TestHubShutdownUnderLoad(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &loadOptions)
		l := newThousand()
		var callers []call.Caller
		for i := range 10 {
			callers = append(callers, net.Spoke(fmt.Sprint("s", i), &spoke.Options{MaxInFlight: loadCalls}, l.operations))
		}
		l.start(t.Context(), net.Hub, callers)
		time.AfterFunc(5*time.Second, func() { close(l.release) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		if err := net.Hub.Shutdown(ctx); err != nil || time.Since(start) > 7*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		l.want(t)
	})
}

// A spoke likewise: what it serves and what it has asked for ends.
func TestSpokeShutdownUnderLoad(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &loadOptions)
		l := newThousand()
		a := net.Spoke("a", &spoke.Options{MaxInFlight: loadCalls}, l.operations)
		l.start(t.Context(), net.Hub, []call.Caller{a})
		time.AfterFunc(5*time.Second, func() { close(l.release) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := a.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := a.Wait(); err != nil {
			t.Error(err)
		}
		l.want(t)
		synctest.Wait()
		if s := net.Hub.Stats(); s.Connections != 0 || s.Spokes != 0 || s.Waiting != 0 {
			t.Errorf("left: %+v", s)
		}
	})
}

// Over sockets: when Shutdown has returned, no socket of the hub and no goroutine
// of this module is left.
func TestShutdownUnderLoadLeavesNoSocket(t *testing.T) {
	place := newSite(t)
	o := loadOptions
	o.AllowAnonymous = true
	h, err := hub.New(&o)
	if err != nil {
		t.Fatal(err)
	}
	place.hub.Store(h)
	l := newThousand()
	var callers []call.Caller
	var spokes []*spoke.Spoke
	ctx, stop := context.WithCancel(cleanupContext(t))
	defer stop()
	var running sync.WaitGroup
	idle := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for i := range 10 {
		s, err := spoke.New(place.url(), &spoke.Options{ID: fmt.Sprint("s", i), MaxInFlight: loadCalls, HTTPClient: idle})
		if err != nil {
			t.Fatal(err)
		}
		l.operations(s.Operations())
		running.Go(func() { _ = s.Run(ctx) })
		callers, spokes = append(callers, s), append(spokes, s)
	}
	for _, s := range spokes {
		if err := s.Ready(ctx); err != nil {
			t.Fatal(err)
		}
	}
	l.start(ctx, h, callers)
	start := time.Now()
	down := make(chan error, 1)
	go func() { down <- h.Shutdown(ctx) }()
	for !h.Draining() { // what is asked for from here on is refused
		h.Stats()
	}
	close(l.release)
	if err := <-down; err != nil {
		t.Error(err)
	}
	took := time.Since(start)
	place.hub.Store(nil)
	if n := len(hubConns(place)); n != 0 {
		t.Errorf("%d sockets are left at the hub", n)
	}
	l.want(t)
	for _, s := range spokes {
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	}
	stop()
	running.Wait()
	wantNoGoroutines(t)
	t.Logf("shutdown under load: %d calls in flight, all answered; the hub was down after %v", loadCalls, took.Round(time.Millisecond))
}

// hubConns are the sockets of WebSockets; what waits for the next request is the HTTP server's.
func hubConns(s *site) (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.(*siteConn).hijacked.Load() {
			out = append(out, c.RemoteAddr().String())
		}
	}
	return out
}

// wantNoGoroutines waits, within the time of a test, until no goroutine runs code of hub, spoke or
// transport; what runs is told by the dump at the end.
func wantNoGoroutines(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		var dump bytes.Buffer
		_ = pprof.Lookup("goroutine").WriteTo(&dump, 2)
		var left []string
		for g := range strings.SplitSeq(dump.String(), "\n\n") {
			for _, own := range []string{"hubspoke/hub.(", "hubspoke/spoke.", "hubspoke/transport.", "hubspoke/internal/"} {
				if strings.Contains(g, own) && !strings.Contains(g, "hub_test.wantNoGoroutines") {
					left = append(left, g)
					break
				}
			}
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%d goroutines are left:\n%s", len(left), strings.Join(left[:min(3, len(left))], "\n\n"))
			return
		}
	}
}

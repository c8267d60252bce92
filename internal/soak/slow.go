package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/spoke"
)

// A value takes 6 s to cross a slow link: 12 heartbeat intervals, and more than the silence after which either
// side drops the connection (2.5 s).
const (
	slowBytes     = 384 << 10
	slowRate      = 64 << 10 // bytes per second in each direction
	slowInterval  = 500 * time.Millisecond
	slowSilence   = 2 * time.Second // more than slowInterval
	slowLimit     = time.Minute
	slowLinkHolds = "a slow link carries every value on one connection"
)

// slowLink runs a hub and a spoke behind a proxy of limited rate, over TCP or TLS. Until the context ends they send each
// other large inputs and outputs, in both directions concurrently.
func slowLink(ctx context.Context, o *options, l *ledger, secure bool) error {
	h, err := hub.New(&hub.Options{AllowAnonymous: true, HeartbeatInterval: slowInterval, HeartbeatTimeout: slowSilence,
		DrainSpread: time.Millisecond, Logger: &o.log})
	if err != nil {
		return err
	}
	server := httptest.NewUnstartedServer(h)
	server.Listener = &slowListener{server.Listener}
	scheme := "ws://"
	if secure {
		scheme = "wss://"
		server.StartTLS()
	} else {
		server.Start()
	}
	defer server.Close()
	p, err := newProxy(server.Listener.Addr().String(), o.seed, slowRate)
	if err != nil {
		return err
	}
	defer p.close()
	id := strings.TrimSuffix("slow-"+scheme, "://")
	s, err := spoke.New(scheme+p.addr(), &spoke.Options{ID: id, HeartbeatTimeout: slowSilence, Logger: &o.log,
		HTTPClient: slowClient(server)})
	if err != nil {
		return err
	}
	for _, r := range []*call.Registry{s.Operations(), h.Operations()} {
		if err := serveSlow(r); err != nil {
			return err
		}
	}
	running, stop := context.WithCancel(context.Background())
	defer stop()
	var run sync.WaitGroup
	defer run.Wait()
	run.Go(func() {
		if err := s.Run(running); err != nil && running.Err() == nil {
			l.broken(spokesGoOn, "%s: %v", id, err)
		}
	})
	ready, cancel := context.WithTimeout(running, slowLimit)
	defer cancel()
	if err := s.Ready(ready); err != nil {
		return fmt.Errorf("%s: %w", id, err)
	}
	var wg sync.WaitGroup
	for _, c := range []call.Caller{h, s} {
		wg.Go(func() {
			for again := true; again; again = ctx.Err() == nil {
				crossSlowly(l, id, c, call.To(map[bool]string{true: id}[c == call.Caller(h)]))
				if n, state := p.accepted.Load(), s.State(); n != 1 || state != spoke.Registered {
					l.broken(slowLinkHolds, "%s: %d connections, state %v", id, n, state)
				}
			}
		})
	}
	wg.Wait()
	end, cancelEnd := context.WithTimeout(context.Background(), endTime)
	defer cancelEnd()
	if err := s.Shutdown(end); err != nil {
		l.broken(slowLinkHolds, "%s does not end: %v", id, err)
	}
	if err := h.Shutdown(end); err != nil {
		l.broken(slowLinkHolds, "the hub of %s does not end: %v", id, err)
	}
	return nil
}

// serveSlow registers operations with a large output and with a large input.
func serveSlow(r *call.Registry) error {
	err := call.Handle(r, call.Operation{Name: "slow.repeat"}, func(_ context.Context, n int) (string, error) { return strings.Repeat("x", n), nil })
	if err != nil {
		return err
	}
	return call.Handle(r, call.Operation{Name: "slow.length"}, func(_ context.Context, in string) (int, error) { return len(in), nil })
}

// crossSlowly calls once with a large output and once with a large input.
func crossSlowly(l *ledger, id string, c call.Caller, to call.Option) {
	began := time.Now()
	out, err := call.Invoke[string](context.Background(), c, "slow.repeat", slowBytes, to, call.Timeout(slowLimit))
	if err != nil || len(out) != slowBytes {
		l.broken(slowLinkHolds, "%s, slow.repeat: %d bytes, %v", id, len(out), err)
	}
	if d := time.Since(began); d < slowBytes*time.Second/slowRate/2 {
		l.broken(slowLinkHolds, "%s, slow.repeat took %v: the link is not slow", id, d)
	}
	l.took("value over "+id, began)
	l.held(slowLinkHolds)
	began = time.Now()
	n, err := call.Invoke[int](context.Background(), c, "slow.length", strings.Repeat("x", slowBytes), to, call.Timeout(slowLimit))
	if err != nil || n != slowBytes {
		l.broken(slowLinkHolds, "%s, slow.length: %d, %v", id, n, err)
	}
	l.took("value over "+id, began)
	l.held(slowLinkHolds)
}

// slowListener accepts connections with small buffers.
type slowListener struct{ net.Listener }

func (l *slowListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		smallBuffers(c)
	}
	return c, err
}

// slowClient trusts the server and dials connections with small buffers.
func slowClient(server *httptest.Server) *http.Client {
	var dialer net.Dialer
	t := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, fmt.Errorf("slow link: %w", err)
		}
		smallBuffers(c)
		return c, nil
	}}
	if trusted, ok := server.Client().Transport.(*http.Transport); ok && trusted.TLSClientConfig != nil {
		t.TLSClientConfig = trusted.TLSClientConfig.Clone()
	}
	return &http.Client{Transport: t}
}

package hub_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/transport"
)

// slowLinks are links that take a second to dial.
type slowLinks struct {
	hub.Links
	dials atomic.Int64
}

func (l *slowLinks) Dial(ctx context.Context, from, to string) (transport.Conn, error) {
	l.dials.Add(1)
	select {
	case <-time.After(time.Second):
		return l.Links.Dial(ctx, from, to)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Callers share the dial of a link: it does not end with the one that began it.
func TestLinkIsDialedOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		bp := hub.NewMemoryBackplane()
		links := &slowLinks{Links: bp.Links}
		bp.Links = links
		a := hubtest.New(t, &hub.Options{AllowAnonymous: true, ID: "hub-a", Backplane: bp})
		b := hubtest.New(t, &hub.Options{AllowAnonymous: true, ID: "hub-b", Backplane: bp})
		b.Spoke("on-b", nil, serveWho("on-b"))
		start := time.Now()
		first := make(chan error, 1)
		go func() {
			_, err := call.Invoke[string](t.Context(), a.Hub, "test.who", nil, call.Timeout(500*time.Millisecond))
			first <- err
		}()
		synctest.Wait()
		for range 10 {
			go func() { _, _ = call.Invoke[string](t.Context(), a.Hub, "test.who", nil) }()
		}
		if _, err := call.Invoke[string](t.Context(), a.Hub, "test.who", nil); err != nil || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if err := <-first; !errors.Is(err, call.CodeTimeout) {
			t.Error(err)
		}
		if n := links.dials.Load(); n != 1 {
			t.Errorf("%d dials", n)
		}
	})
}

// A hub that shuts down does not wait for a dial.
func TestShutdownEndsDials(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		bp := hub.NewMemoryBackplane()
		links := &slowLinks{Links: bp.Links}
		bp.Links = links
		a := hubtest.New(t, &hub.Options{AllowAnonymous: true, ID: "hub-a", Backplane: bp})
		b := hubtest.New(t, &hub.Options{AllowAnonymous: true, ID: "hub-b", Backplane: bp})
		b.Spoke("on-b", nil, serveWho("on-b"))
		failed := make(chan error, 1)
		go func() {
			_, err := call.Invoke[string](t.Context(), a.Hub, "test.who", nil)
			failed <- err
		}()
		synctest.Wait()
		start := time.Now()
		if err := a.Hub.Shutdown(t.Context()); err != nil || time.Since(start) > 100*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if err := <-failed; !errors.Is(err, call.CodeUnavailable) {
			t.Error(err)
		}
	})
}

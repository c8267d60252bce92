package spoke_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// Behind a stalled connection one request has been handed over and one waits
// in the log. After a cut the first can have run; the second cannot, and goes
// out on the next connection.
func TestWhatHasNotLeftGoesOutOnTheNextConnection(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &hub.Options{SessionWindow: -1})
		var ran atomic.Int64
		net.Spoke("b", nil, func(r *call.Registry) {
			registered(call.Handle(r, call.Operation{Name: "test.len"}, func(_ context.Context, in string) (int, error) { ran.Add(1); return len(in), nil }))
		})
		a := net.Spoke("a", nil, nil)
		a.Wire.Stall(hubtest.ToHub)
		publish(t, a.Events(), "1") // held at the hub's door; what comes now waits in the pipe
		synctest.Wait()
		first, second := make(chan error, 1), make(chan error, 1)
		ask := func(n int, over chan<- error) {
			out, err := call.Invoke[int](t.Context(), a, "test.len", strings.Repeat("x", n))
			if err == nil && out != n {
				t.Errorf("%d of %d", out, n)
			}
			over <- err
		}
		go ask(200_000, first) // more than the pipe holds
		synctest.Wait()
		go ask(10, second)
		synctest.Wait()
		a.Wire.Cut()
		a.Wire.Resume()
		wantError(t, <-first, call.CodeDisconnected, true)
		if err := <-second; err != nil {
			t.Error(err)
		}
		if n := ran.Load(); n != 1 {
			t.Errorf("the handler ran %d times", n)
		}
	})
}

// The same from the hub: what has not left goes to another spoke.
func TestWhatHasNotLeftTheHubGoesToAnotherSpoke(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		serve := func(r *call.Registry) {
			registered(call.Handle(r, call.Operation{Name: "test.len"}, func(_ context.Context, in string) (int, error) { return len(in), nil }))
		}
		a := net.Spoke("a", nil, serve)
		a.Wire.Stall(hubtest.ToSpoke)
		first, second := make(chan error, 1), make(chan error, 1)
		ask := func(n int, over chan<- error) {
			_, err := call.Invoke[int](t.Context(), net.Hub, "test.len", strings.Repeat("x", n))
			over <- err
		}
		go ask(1, make(chan error, 1)) // held at the spoke's door; what comes now waits in the pipe
		synctest.Wait()
		go ask(200_000, first)
		synctest.Wait()
		go ask(10, second)
		synctest.Wait()
		net.Spoke("b", nil, serve)
		a.Wire.Cut()
		wantError(t, <-first, call.CodeDisconnected, true)
		// The candidates were looked up when the call began, so it may end without having run.
		if err := <-second; err != nil {
			wantError(t, err, call.CodeDisconnected, false)
		}
	})
}

// broken is a Dialer whose connections can no longer be written to, when told.
type broken struct {
	*hubtest.Wire
	on atomic.Bool
}

type brokenConn struct {
	transport.Conn
	of *broken
}

func (b *broken) Dial(ctx context.Context, url string, h http.Header) (transport.Conn, error) {
	c, err := b.Wire.Dial(ctx, url, h)
	if err != nil {
		return nil, err
	}
	return brokenConn{c, b}, nil
}

func (c brokenConn) Write(frames [][]byte) error {
	if c.of.on.Load() {
		return transport.ErrLost
	}
	return c.Conn.Write(frames)
}

func (c brokenConn) TryWrite(frames [][]byte) bool { return !c.of.on.Load() && c.Conn.TryWrite(frames) }

// A write that fails does not hide the code with which the other side has closed.
func TestFailedWriteDoesNotHideTheCloseCode(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		b := &broken{Wire: net.Dialer(nil)}
		s := net.Spoke("a", &spoke.Options{Dialer: b}, nil)
		b.Stall(hubtest.ToSpoke)
		if _, err := net.Hub.Disconnect(t.Context(), "a", "bye"); err != nil {
			t.Fatal(err)
		}
		b.on.Store(true)
		go func() { _, _ = call.Invoke[any](t.Context(), s, "hub.info", nil) }()
		later(time.Second / 2)
		b.Resume()
		wantClose(t, s.Wait(), transport.CloseKicked)
	})
}

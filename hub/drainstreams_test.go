package hub_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
)

// ends records how each of several streams ended.
type ends struct {
	wg sync.WaitGroup

	mu  sync.Mutex // guards the field below
	how map[string]error
}

func (e *ends) note(name string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.how == nil {
		e.how = map[string]error{}
	}
	e.how[name] = err
}

func (e *ends) take() map[string]error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.how)
}

// read notes how the stream ends.
func (e *ends) read(name string, seq iter.Seq2[int, error]) {
	e.wg.Go(func() {
		for _, err := range seq {
			if err != nil {
				e.note(name, err)
			}
		}
	})
}

// endless is a stream that sends for as long as it may, and notes why it ended.
func (e *ends) endless(t *testing.T, r *call.Registry, name string, every time.Duration) {
	must(t, call.HandleStream(r, call.Operation{Name: name}, func(ctx context.Context, _ any, send func(int) error) error {
		for i := 0; ; i++ {
			if err := send(i); err != nil {
				e.note("handler of "+name, context.Cause(ctx))
				return err
			}
			select {
			case <-time.After(every):
			case <-ctx.Done():
				e.note("handler of "+name, context.Cause(ctx))
				return ctx.Err()
			}
		}
	}))
}

// Endless streams continue for StreamGrace when the hub shuts down; then they end with the reason.
func TestShutdownEndsStreams(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var e ends
		a, b := twoHubs(t)
		e.endless(t, a.Hub.Operations(), "own.ticks", time.Second)
		e.endless(t, a.Hub.Operations(), "own.part", time.Second)
		served := a.Spoke("served", nil, func(r *call.Registry) { e.endless(t, r, "a.ticks", time.Second) })
		must(t, call.HandleStream(served.Operations(), call.Operation{Name: "a.short"}, func(_ context.Context, _ any, send func(int) error) error {
			later(4 * time.Second)
			return send(1)
		}))
		must(t, call.Handle(served.Operations(), call.Operation{Name: "a.sum"}, func(ctx context.Context, _ any) (int, error) {
			for n, err := range call.Stream[int](ctx, served, "own.part", nil) { // part of a unary call
				if err != nil || n == 12 {
					return n, err
				}
			}
			return 0, nil
		}))
		b.Spoke("elsewhere", nil, func(r *call.Registry) { e.endless(t, r, "b.ticks", time.Second) })
		reader := a.Spoke("reader", nil, nil)
		far := b.Spoke("far", nil, nil)
		synctest.Wait()
		for name, c := range map[string]call.Caller{"hub": a.Hub, "spoke": reader, "another hub": far} {
			for _, op := range []string{"own.ticks", "a.ticks", "b.ticks"} {
				if name != "another hub" || op == "a.ticks" {
					e.read(name+" of "+op, call.Stream[int](t.Context(), c, op, nil))
				}
			}
		}
		e.read("short", call.Stream[int](t.Context(), reader, "a.short", nil))
		sum := make(chan string, 1)
		go func() {
			n, err := call.Invoke[int](t.Context(), reader, "a.sum", nil, call.Timeout(time.Minute))
			sum <- fmt.Sprint(n, err)
		}()
		later(time.Second)
		start := time.Now()
		down := make(chan error, 1)
		go func() { down <- a.Hub.Shutdown(t.Context()) }()
		later(4900 * time.Millisecond)
		if got := e.take(); len(got) != 0 {
			t.Errorf("ended before StreamGrace: %v", got)
		}
		if err := <-down; err != nil || time.Since(start) > 14*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if got := <-sum; got != "12 <nil>" {
			t.Errorf("the unary call with a stream inside: %s", got)
		}
		e.wg.Wait()
		got := e.take()
		delete(got, "handler of own.part")
		if len(got) != 7+3 {
			t.Errorf("%d ends: %v", len(got), got)
		}
		for name, err := range got {
			ce, _ := errors.AsType[*call.Error](err)
			switch name {
			case "handler of own.ticks":
				if !errors.Is(err, hub.ErrDraining) {
					t.Errorf("%s: %v", name, err)
				}
			case "handler of a.ticks", "handler of b.ticks": // of workers: the hub has aborted them
				if !errors.Is(err, call.CodeAborted) || !errors.Is(err, spoke.ErrDraining) || !errors.Is(err, context.Canceled) {
					t.Errorf("%s: %v", name, err)
				}
			default:
				if ce == nil || ce.Code != call.CodeUnavailable || !ce.Sent || !ce.Retryable {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		if !errors.Is(got["hub of own.ticks"], hub.ErrDraining) || !errors.Is(got["hub of a.ticks"], hub.ErrDraining) {
			t.Errorf("the embedding program cannot see why: %v", got)
		}
	})
}

// With a negative grace a stream runs until the context of Shutdown ends.
func TestShutdownWithoutGrace(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var e ends
		net := hubtest.New(t, &hub.Options{AllowAnonymous: true, StreamGrace: -1})
		net.Spoke("served", nil, func(r *call.Registry) { e.endless(t, r, "a.ticks", time.Second) })
		e.read("stream", call.Stream[int](t.Context(), net.Hub, "a.ticks", nil))
		later(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		if err := net.Hub.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		e.wg.Wait()
		if err := e.take()["stream"]; !errors.Is(err, call.CodeDisconnected) {
			t.Error(err)
		}
	})
}

// A spoke without calls stays with a hub that shuts down, if there is no other, until the last call has ended: it could only
// reconnect to a hub that refuses it.
func TestIdleSpokesLeaveLast(t *testing.T) {
	for _, alone := range []bool{true, false} {
		t.Run(fmt.Sprint("alone=", alone), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				var net *hubtest.Network
				if alone {
					net = hubtest.New(t, nil)
				} else {
					net, _ = twoHubs(t)
				}
				net.Spoke("busy", nil, func(r *call.Registry) {
					must(t, call.Handle(r, call.Operation{Name: "test.slow"}, func(context.Context, any) (any, error) { later(20 * time.Second); return 1, nil }))
				})
				idle := net.Spoke("idle", nil, nil)
				go call.Invoke[any](t.Context(), net.Hub, "test.slow", nil)
				synctest.Wait()
				start := time.Now()
				down := make(chan error, 1)
				go func() { down <- net.Hub.Shutdown(t.Context()) }()
				later(10 * time.Second)
				if stays := idle.State() == spoke.Registered; stays != alone {
					t.Errorf("the spoke is %v while the hub shuts down", idle.State())
				}
				if dials := idle.Wire.Dials(); alone && dials != 1 {
					t.Errorf("%d dials", dials)
				}
				if err := <-down; err != nil || time.Since(start) > 21*time.Second {
					t.Errorf("%v after %v", err, time.Since(start))
				}
			})
		})
	}
}

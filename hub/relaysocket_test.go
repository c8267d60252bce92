package hub_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/spoke"
)

// stacksWith counts the goroutines with the text in their stack.
func stacksWith(text string) (n int) {
	stacks := make([]byte, 8<<20)
	for g := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		if strings.Contains(g, text) {
			n++
		}
	}
	return n
}

func serveEcho(r *call.Registry) {
	registered(call.Handle(r, call.Operation{Name: "test.echo"}, func(_ context.Context, in json.RawMessage) (json.RawMessage, error) { return in, nil }))
}

// Over sockets nothing that is due stays unwritten while its reader sleeps: with one call at a time nobody else would
// write it, and the call would not end.
func TestRelayOverSocketsLosesNoFlush(t *testing.T) {
	h := socketHub(t, nil)
	socketSpokeWith(t, h, "w", &spoke.Options{}, serveEcho)
	caller := socketSpoke(t, h, "caller")
	for i := range 2000 {
		in := strings.Repeat("x", i%40*i%97)
		out, err := call.Invoke[string](t.Context(), caller, "test.echo", in, call.Timeout(20*time.Second))
		if err != nil || out != in {
			t.Fatalf("call %d: %d bytes, %v", i, len(out), err)
		}
	}
}

// Many callers and workers at once, some of which give up: everyone gets an answer of his own, and at last nothing is
// in flight.
func TestRelayOverSocketsUnderLoad(t *testing.T) {
	h := socketHub(t, &hub.Options{MaxInFlight: 32})
	var spokes []*spoke.Spoke
	for i := range 3 {
		spokes = append(spokes, socketSpokeWith(t, h, fmt.Sprint("s", i), &spoke.Options{MaxInFlight: 24}, serveEcho))
	}
	var group sync.WaitGroup
	for i, s := range spokes {
		for j := range 16 {
			group.Go(func() {
				for k := range 60 {
					ctx, cancel := context.WithCancel(t.Context())
					if k%7 == 0 {
						time.AfterFunc(time.Duration(j*20)*time.Microsecond, cancel)
					}
					in := fmt.Sprintf("%d-%d-%d %s", i, j, k, strings.Repeat("x", k*j*4))
					out, err := call.Invoke[string](ctx, s, "test.echo", in, call.Timeout(30*time.Second))
					cancel()
					if err != nil && !errors.Is(err, call.CodeAborted) && !errors.Is(err, call.CodeOverloaded) || err == nil && out != in {
						t.Errorf("%.10s: %.10s, %v", in, out, err)
					}
				}
			})
		}
	}
	group.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, s := range spokes {
		if err := s.Shutdown(ctx); err != nil { // waits until nothing is in flight
			t.Error(err)
		}
	}
	if err := h.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// A call that is passed on has no goroutine in the hub while its handler works, and leaves none.
func TestRelayHasNoGoroutine(t *testing.T) {
	h := socketHub(t, nil)
	const n = 20
	entered, leave := make(chan struct{}, n), make(chan struct{})
	socketSpokeWith(t, h, "w", &spoke.Options{}, func(r *call.Registry) {
		serveEcho(r)
		registered(call.Handle(r, call.Operation{Name: "test.hold"}, func(ctx context.Context, _ json.RawMessage) (string, error) {
			entered <- struct{}{}
			select {
			case <-leave:
			case <-ctx.Done():
			}
			return "", nil
		}))
	})
	caller := socketSpoke(t, h, "caller")
	// A spoke may know that it is registered before the hub has its session ready, and calls then wait on a goroutine.
	if _, err := call.Invoke[string](t.Context(), caller, "test.echo", "x"); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range n {
		group.Go(func() {
			if _, err := call.Invoke[string](t.Context(), caller, "test.hold", nil); err != nil {
				t.Error(err)
			}
		})
	}
	for range n {
		<-entered
	}
	if got := stacksWith("hub.(*conn).serve("); got != 0 {
		t.Errorf("%d goroutines serve calls that are passed on", got)
	}
	close(leave)
	group.Wait()
}

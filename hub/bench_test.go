package hub_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/spoke"
)

// The floor of these benchmarks is BenchmarkFloor: a plain WebSocket echo
// without a product around it. Compare within one run; machines differ.

func benchInput(size int) json.RawMessage {
	return json.RawMessage(`{"text":"` + strings.Repeat("x", size-11) + `"}`)
}

var benchSizes = []struct {
	name     string
	size     int
	inFlight int
}{{"128B/x1", 128, 1}, {"128B/x64", 128, 64}, {"4KiB/x1", 4096, 1}, {"4KiB/x64", 4096, 64}}

// benchParallel runs op b.N times from n goroutines.
func benchParallel(b *testing.B, n int, op func() error) {
	b.ReportAllocs()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := op(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func benchHub(b testing.TB, ids ...string) (*hub.Hub, []*spoke.Spoke) {
	b.Helper()
	h, err := hub.New(&hub.Options{AllowAnonymous: true})
	if err != nil {
		b.Fatal(err)
	}
	srv := httptest.NewServer(h)
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	b.Cleanup(func() { cancel(); wg.Wait(); h.Close(); srv.Close() })
	var spokes []*spoke.Spoke
	for _, id := range ids {
		s, err := spoke.New(srv.URL, &spoke.Options{ID: id})
		if err != nil {
			b.Fatal(err)
		}
		if err := call.Handle(s.Operations(), call.Operation{Name: "bench.echo"}, func(_ context.Context, in json.RawMessage) (json.RawMessage, error) {
			return in, nil
		}); err != nil {
			b.Fatal(err)
		}
		wg.Go(func() { _ = s.Run(ctx) })
		if err := s.Ready(ctx); err != nil {
			b.Fatal(err)
		}
		spokes = append(spokes, s)
	}
	return h, spokes
}

// BenchmarkCall is the hub calling a spoke.
func BenchmarkCall(b *testing.B) {
	for _, z := range benchSizes {
		b.Run(z.name, func(b *testing.B) {
			h, _ := benchHub(b, "callee")
			in := benchInput(z.size)
			benchParallel(b, z.inFlight, func() error {
				_, err := h.Call(b.Context(), &call.Request{Operation: "bench.echo", Input: in, Timeout: -1})
				return err
			})
		})
	}
}

// BenchmarkCallThrough is a spoke calling a spoke through the hub.
func BenchmarkCallThrough(b *testing.B) {
	for _, z := range benchSizes[:2] {
		b.Run(z.name, func(b *testing.B) {
			_, s := benchHub(b, "caller", "callee")
			in := benchInput(z.size)
			benchParallel(b, z.inFlight, func() error {
				_, err := s[0].Call(b.Context(), &call.Request{Operation: "bench.echo", Input: in, To: "callee"})
				return err
			})
		})
	}
}

// BenchmarkFloor is a plain echo, one connection for each request in flight.
func BenchmarkFloor(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		c.SetReadLimit(1 << 20)
		for {
			typ, data, err := c.Read(context.Background())
			if err != nil || c.Write(context.Background(), typ, data) != nil {
				return
			}
		}
	}))
	defer srv.Close()
	for _, z := range benchSizes {
		b.Run(z.name, func(b *testing.B) {
			c, _, err := websocket.Dial(b.Context(), srv.URL, nil) //nolint:bodyclose // the library closes it
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = c.CloseNow() }()
			c.SetReadLimit(1 << 20)
			in := benchInput(z.size)
			slots := make(chan struct{}, z.inFlight)
			b.ReportAllocs()
			b.ResetTimer()
			done := make(chan error, 1)
			go func() {
				for range b.N {
					if _, _, err := c.Read(context.Background()); err != nil {
						done <- err
						return
					}
					<-slots
				}
				done <- nil
			}()
			for range b.N {
				slots <- struct{}{}
				if err := c.Write(context.Background(), websocket.MessageText, in); err != nil {
					b.Fatal(err)
				}
			}
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkFanout is one publish to many subscribers.
func BenchmarkFanout(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprintf("subscribers=%d", n), func(b *testing.B) {
			ids := make([]string, n)
			for i := range ids {
				ids[i] = fmt.Sprintf("reader-%d", i)
			}
			h, spokes := benchHub(b, ids...)
			var got sync.WaitGroup
			for _, s := range spokes {
				stop, err := s.Events().Listen(b.Context(), "bench.topic", func(pubsub.Event) { got.Done() })
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(stop)
			}
			ev := pubsub.Event{Topic: "bench.topic", Payload: benchInput(128)}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				got.Add(n)
				if err := h.Events().Dispatch(b.Context(), ev); err != nil {
					b.Fatal(err)
				}
				got.Wait()
			}
		})
	}
}

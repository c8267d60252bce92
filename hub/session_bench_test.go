package hub_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/spoke"
)

// sessionCases are a hub without sessions and one with them. Compare within one run.
var sessionCases = []struct {
	name   string
	window time.Duration
}{{"off", -1}, {"on", 0}}

func sessionHub(b *testing.B, window time.Duration, spokes int) (*hub.Hub, []*spoke.Spoke) {
	b.Helper()
	h, err := hub.New(&hub.Options{AllowAnonymous: true, SessionWindow: window})
	if err != nil {
		b.Fatal(err)
	}
	srv := httptest.NewServer(h)
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	b.Cleanup(func() { cancel(); wg.Wait(); h.Close(); srv.Close() })
	var out []*spoke.Spoke
	for i := range spokes {
		s, err := spoke.New(srv.URL, &spoke.Options{ID: fmt.Sprint("spoke-", i)})
		if err != nil {
			b.Fatal(err)
		}
		registered(call.Handle(s.Operations(), call.Operation{Name: "bench.echo"}, func(_ context.Context, in json.RawMessage) (json.RawMessage, error) { return in, nil }))
		wg.Go(func() { _ = s.Run(ctx) })
		if err := s.Ready(ctx); err != nil {
			b.Fatal(err)
		}
		out = append(out, s)
	}
	return h, out
}

// BenchmarkSession is the hub calling a spoke, without sessions and with.
func BenchmarkSession(b *testing.B) {
	for _, inFlight := range []int{1, 64} {
		for _, c := range sessionCases {
			b.Run(fmt.Sprint("x", inFlight, "/", c.name), func(b *testing.B) {
				h, _ := sessionHub(b, c.window, 1)
				in := benchInput(128)
				benchParallel(b, inFlight, func() error {
					_, err := h.Call(b.Context(), &call.Request{Operation: "bench.echo", Input: in, Timeout: -1})
					return err
				})
			})
		}
	}
}

// BenchmarkSessionIdle is what a connection costs in memory that has been used and is idle, both ends of it.
func BenchmarkSessionIdle(b *testing.B) {
	const spokes = 300
	for _, c := range sessionCases {
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				before := heap()
				h, all := sessionHub(b, c.window, spokes)
				for _, s := range all {
					for range 40 {
						if _, err := call.Invoke[any](b.Context(), h, "bench.echo", 1, call.To(s.ID())); err != nil {
							b.Fatal(err)
						}
					}
				}
				<-time.After(time.Second) // until all is acknowledged
				b.ReportMetric(float64(heap()-before)/spokes, "B/conn")
				b.ReportMetric(float64(h.Stats().QueuedBytes), "queued-B")
				runtime.KeepAlive(all)
			}
		})
	}
}

func heap() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

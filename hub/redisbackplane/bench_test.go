package redisbackplane_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/internal/redistest"
	"github.com/alkdev/hubspoke/spoke"
)

var commandCount = regexp.MustCompile(`cmdstat_([a-z|_-]+):calls=(\d+)`)

// commands counts what Redis has done, by command.
func commands(s *redistest.Server) map[string]int {
	out := map[string]int{}
	for _, m := range commandCount.FindAllStringSubmatch(s.Do("INFO", "commandstats"), -1) {
		out[m[1]], _ = strconv.Atoi(m[2])
	}
	delete(out, "info")
	delete(out, "ping") // rueidis' own, one a second for each idle connection
	return out
}

func since(s *redistest.Server, before map[string]int) (total int, by map[string]int) {
	by = map[string]int{}
	for name, n := range commands(s) {
		if d := n - before[name]; d > 0 {
			by[name] = d
			total += d
		}
	}
	return total, by
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r) // cannot fail
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// socketSpoke registers over a real socket.
func socketSpoke(t testing.TB, n *node, id string, operations func(*call.Registry)) {
	t.Helper()
	web := httptest.NewServer(n.Hub)
	s, err := spoke.New("ws"+strings.TrimPrefix(web.URL, "http"), &spoke.Options{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	operations(s.Operations())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { _ = s.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done; web.Close() })
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
}

var payload = json.RawMessage(`"` + strings.Repeat("x", 126) + `"`)

// inParallel runs fn n times, with so many at once.
func inParallel(width, n int, fn func()) {
	var all sync.WaitGroup
	for w := range width {
		share := n / width
		if w < n%width {
			share++
		}
		all.Go(func() {
			for range share {
				fn()
			}
		})
	}
	all.Wait()
}

// BenchmarkCall is a call to another hub, whose spoke is behind a WebSocket; compare BenchmarkBareCall.
func BenchmarkCall(b *testing.B) {
	for _, width := range []int{1, 64} {
		b.Run(fmt.Sprintf("inflight=%d", width), func(b *testing.B) {
			server := redistest.Start(b)
			nodes := startNodes(b, server.URL(), 2)
			socketSpoke(b, nodes[1], "callee", serve("callee"))
			one := func() {
				if _, err := call.Invoke[json.RawMessage](b.Context(), nodes[0].Hub, "test.echo", payload, call.To("callee")); err != nil {
					b.Error(err)
				}
			}
			within(b, time.Second, "it is seen", func() bool { return calls(b, nodes[0].Hub, "callee", call.To("callee")) })
			measure(b, server, width, one)
		})
	}
}

// measure reports CPU of this process and commands of Redis for each call.
func measure(b *testing.B, server *redistest.Server, width int, one func()) {
	b.Helper()
	for range 64 {
		one()
	}
	before := commands(server)
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime()
	inParallel(width, b.N, one)
	b.StopTimer()
	cpu = cpuTime() - cpu
	total, _ := since(server, before)
	b.ReportMetric(float64(cpu.Microseconds())/float64(b.N), "cpu-us/call")
	b.ReportMetric(float64(total)/float64(b.N), "commands/call")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

// BenchmarkLookup is a question to the directory that the cache answers.
func BenchmarkLookup(b *testing.B) {
	server := redistest.Start(b)
	nodes := startNodes(b, server.URL(), 2)
	nodes[1].Spoke("callee", nil, serve("callee"))
	dir := nodes[0].bp.Backplane().Directory
	ctx := context.Background()
	for name, ask := range map[string]func() bool{
		"spoke": func() bool { _, ok, err := dir.Spoke(ctx, "callee"); return ok && err == nil },
		"providers": func() bool {
			hubs, err := dir.Providers(ctx, "test.who")
			return len(hubs) == 1 && err == nil
		},
	} {
		b.Run(name, func(b *testing.B) {
			within(b, time.Second, "it is seen", ask)
			before := commands(server)
			b.ReportAllocs()
			for b.Loop() {
				if !ask() {
					b.Fatal("it is not found")
				}
			}
			total, _ := since(server, before)
			b.ReportMetric(float64(total)/float64(b.N), "commands/lookup")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lookups/s")
		})
	}
}

// BenchmarkRegister is 5,000 spokes that register at one hub at once, 128 at a time.
func BenchmarkRegister(b *testing.B) {
	const spokes = 5000
	server := redistest.Start(b)
	n := startNodes(b, server.URL(), 1)[0]
	dir := n.bp.Backplane().Directory
	run := 0
	before := commands(server)
	redisBefore := redisCPU(server)
	cpu := cpuTime()
	for b.Loop() {
		run++
		var mu sync.Mutex
		next := 0
		inParallel(128, spokes, func() {
			mu.Lock()
			next++
			id := fmt.Sprint(run, "-", next)
			mu.Unlock()
			if _, err := dir.Claim(b.Context(), hub.Record{SpokeID: id, HubID: "hub-0", IdentityID: "someone"}); err != nil {
				b.Error(err)
			}
		})
	}
	total, _ := since(server, before)
	all := float64(b.N * spokes)
	b.ReportMetric(float64(total)/all, "commands/claim")
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/all, "cpu-us/claim")
	b.ReportMetric((redisCPU(server)-redisBefore)*1e6/all, "redis-us/claim")
	b.ReportMetric(all/b.Elapsed().Seconds(), "claims/s")
}

var usedCPU = regexp.MustCompile(`used_cpu_(?:sys|user):([0-9.]+)`)

func redisCPU(s *redistest.Server) (seconds float64) {
	for _, m := range usedCPU.FindAllStringSubmatch(s.Do("INFO", "cpu"), -1) {
		f, _ := strconv.ParseFloat(m[1], 64)
		seconds += f
	}
	return seconds
}

// What Redis is asked is bounded: two commands for a call with one in flight,
// fewer with many, none for a lookup, few for a registration and a lease.
func TestCommands(t *testing.T) {
	server := redistest.Start(t)
	o := &redisOptions{Lease: 3 * time.Second}
	a, b := startNode(t, server.URL(), "hub-a", o), startNode(t, server.URL(), "hub-b", o)
	before := commands(server)
	b.Spoke("on-b", nil, func(r *call.Registry) { serve("on-b")(r) })
	var by map[string]int
	within(t, time.Second, "its presence is published", func() bool {
		_, by = since(server, before)
		return by["publish"] == 2
	})
	t.Logf("a registration with five operations, commands inside of scripts included: %v", by)
	if by["evalsha"]+by["eval"] > 14 { // a claim and five first providers, and a script or two that is loaded
		t.Errorf("a registration takes %v", by)
	}
	within(t, time.Second, "it is seen", func() bool { return calls(t, a.Hub, "on-b", call.To("on-b")) })
	for width, most := range map[int]float64{1: 2.02, 64: 1.5} {
		const n = 2000
		before := commands(server)
		inParallel(width, n, func() {
			if !calls(t, a.Hub, "on-b", call.To("on-b")) {
				t.Error("a call failed")
			}
		})
		_, by := since(server, before)
		per := float64(by["publish"]) / n
		t.Logf("%d in flight: %.3f publishes a call, all: %v", width, per, by)
		if per > most {
			t.Errorf("%d in flight: %.3f publishes a call", width, per)
		}
	}
	before = commands(server)
	<-time.After(o.Lease) // of a steady system
	total, by := since(server, before)
	t.Logf("two idle hubs in one lease: %v", by)
	if total > 40 { // with those inside of scripts
		t.Errorf("%d commands in one lease of two idle hubs", total)
	}
}

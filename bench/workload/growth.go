package workload

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/measure"
	"github.com/alkdev/hubspoke/bench/process"
)

// ServerRSS is the whole resident set of a server with its clients connected, not its growth: what is left at one
// connection is the program itself.
const ServerRSS = "server RSS MiB"

// GrowthParams are the points of the growth runs: more connections with as many calls in flight, and more calls in
// flight on one connection. d is how long each of them lasts.
func GrowthParams(d time.Duration) []Params {
	const inFlight, bytes = 64, 128
	var points []Params
	for _, n := range []int{1, 10, 100, 1_000, 10_000} {
		points = append(points, Params{Connections: n, InFlight: inFlight, Bytes: bytes, Duration: d})
	}
	for _, n := range []int{1, 4, 16, 64, 256, 1_024, 4_096} {
		if n != inFlight {
			points = append(points, Params{Connections: 1, InFlight: n, Bytes: bytes, Duration: d})
		}
	}
	return points
}

// Growth measures calls from a server to Params.Connections clients in turn, Params.InFlight at a time. CPU is that of
// both ends; memory and goroutines are the server's before the first call.
func Growth(ctx context.Context, c contender.Contender, s contender.Setup, p Params) (Result, error) {
	return withClients(ctx, c, s, p, func(server *process.Server, before, connected process.Stats) (Result, error) {
		return callAll(server, p, before, connected)
	})
}

func callAll(server *process.Server, p Params, before, connected process.Stats) (Result, error) {
	run := process.CallRun{Clients: p.Connections, InFlight: p.InFlight, Bytes: p.Bytes, Duration: p.Duration / 5}
	// The first call of a connection grows buffers and stacks that later ones find, so all have one before.
	run.AtLeast = p.Connections
	if _, err := server.Calls(run); err != nil {
		return nil, err
	}
	run.AtLeast = 0
	own := measure.Take()
	run.Duration = p.Duration
	f, err := server.Calls(run)
	if err != nil {
		return nil, err
	}
	own = measure.Take().Since(own)
	if f.Calls == 0 {
		return nil, fmt.Errorf("workload: no call was made in %v", p.Duration)
	}
	n := float64(f.Calls)
	r := costs(sum(f.Used, own), n)
	maps.Copy(r, held(before, connected, p.Connections))
	if connected.HasRSS {
		r[ServerRSS] = float64(connected.RSS) / (1 << 20)
	}
	if own.HasCPU {
		r[ClientCPU] = micros(own.CPU) / n
	}
	r[Rate] = n / f.Elapsed.Seconds()
	r[P50], r[P99] = micros(f.P50), micros(f.P99)
	return r, nil
}

// sum is what two processes have used.
func sum(a, b measure.Usage) measure.Usage {
	return measure.Usage{
		CPU: a.CPU + b.CPU, HasCPU: a.HasCPU && b.HasCPU,
		RWCalls: a.RWCalls + b.RWCalls, HasRW: a.HasRW && b.HasRW,
		Mallocs: a.Mallocs + b.Mallocs,
	}
}

// Package workload has what is measured: each workload runs in a process of its own, once for each figure that
// is taken, and checks every reply and delivery.
package workload

import (
	"context"
	"time"

	"github.com/alkdev/hubspoke/bench/contender"
)

// Params are one point of a workload.
type Params struct {
	// InFlight is the number of calls at a time; Burst the number of publishes in a row.
	InFlight, Burst int
	// Bytes is the length of the payload, which is a JSON object.
	Bytes int
	// Connections is the number of clients.
	Connections int
	// Duration is how long to measure, after a warm-up of a fifth of it; 0 for workloads that end by themselves.
	Duration time.Duration
}

// Result holds the figures of one run by their names, those of Figures.
type Result map[string]float64

// Names of figures. All are "lower is better", except the rates.
const (
	P50        = "p50 us"
	P99        = "p99 us"
	Rate       = "calls/s"      // calls or deliveries in a second
	CPU        = "cpu us"       // user and system time of a call, delivery or connection; of the server where it is a process of its own
	RWCalls    = "rw-sys"       // read and write system calls of one
	Mallocs    = "mallocs"      // heap objects of one
	RSS        = "RSS KiB/conn" // growth of the server's resident set after a garbage collection
	Goroutines = "goroutines/conn"
	Usable     = "all usable s"
	ClientCPU  = "client cpu us"
	Redis      = "redis cmds" // commands that Redis counted for a call, connection upkeep left out
)

// Run measures one contender at one point. An error, a wrong reply among them, voids the measurement.
type Run func(ctx context.Context, c contender.Contender, s contender.Setup, p Params) (Result, error)

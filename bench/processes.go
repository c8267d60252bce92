package main

import (
	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/own"
	"github.com/alkdev/hubspoke/bench/report"
	"github.com/alkdev/hubspoke/bench/workload"
	"github.com/alkdev/hubspoke/bench/wsraw"
)

// The workloads with server and clients in two processes.

// serves says whether a contender has what they need.
func serves(c contender.Contender) bool { return c.Serve != nil && c.Dial != nil }

// withSchemas is a row for clients that register more than one operation.
func withSchemas() []variant {
	return []variant{{
		row: own.Name + ", 10 operations with schemas", contender: own.Name,
		setup: contender.Setup{Operations: 10, Schemas: true},
	}}
}

func w3() benchmark {
	fan := func(name string, burst int) point {
		full := workload.Params{Bytes: 128, Burst: burst, Connections: 1000, Duration: fullTime}
		quick := workload.Params{Bytes: 128, Burst: burst, Connections: 300, Duration: quickTime}
		return point{name: name, full: full, quick: quick}
	}
	return benchmark{
		name: "W3", title: "W3: fan-out to 1,000 subscribers (300 in a quick run), 128 B (burst: 8, two on their way)",
		run: workload.FanOut, can: serves, floor: wsraw.Name,
		points: []point{fan("single", 1), fan("burst", 8)},
		columns: []report.Column{
			{Head: "single srv cpu us", Point: "single", Figure: workload.CPU},
			{Head: "burst srv cpu us", Point: "burst", Figure: workload.CPU},
			{Head: "burst srv rw-sys", Point: "burst", Figure: workload.RWCalls, Bare: true},
			{Head: "burst srv mallocs", Point: "burst", Figure: workload.Mallocs, Bare: true},
			{Head: "single deliv./s", Point: "single", Figure: workload.Rate},
			{Head: "burst deliv./s", Point: "burst", Figure: workload.Rate},
		},
	}
}

func w4() benchmark {
	return benchmark{
		name: "W4", title: "W4: 10,000 idle connections (2,000 in a quick run)",
		run: workload.Idle, can: serves, floor: wsraw.Name,
		points: []point{{name: "idle", full: workload.Params{Connections: 10_000}, quick: workload.Params{Connections: 2_000}}},
		columns: []report.Column{
			{Head: "RSS KiB/conn", Point: "idle", Figure: workload.RSS},
			{Head: "goroutines/conn", Point: "idle", Figure: workload.Goroutines, Bare: true},
		},
		variants: withSchemas(),
	}
}

func w6() benchmark {
	return benchmark{
		name: "W6", title: "W6: 5,000 clients connect and register from 128 dialers (1,000 in a quick run)",
		run: workload.Connect, can: serves, floor: wsraw.Name,
		points: []point{{name: "connect", full: workload.Params{Connections: 5_000}, quick: workload.Params{Connections: 1_000}}},
		columns: []report.Column{
			{Head: "srv cpu us/conn", Point: "connect", Figure: workload.CPU},
			{Head: "srv rw-sys", Point: "connect", Figure: workload.RWCalls, Bare: true},
			{Head: "srv mallocs", Point: "connect", Figure: workload.Mallocs, Bare: true},
			{Head: "client cpu us/conn", Point: "connect", Figure: workload.ClientCPU, Bare: true},
			{Head: "all usable s", Point: "connect", Figure: workload.Usable},
		},
		variants: withSchemas(),
	}
}

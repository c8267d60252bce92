package main

import (
	"slices"
	"time"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/own"
	"github.com/alkdev/hubspoke/bench/redisraw"
	"github.com/alkdev/hubspoke/bench/report"
	"github.com/alkdev/hubspoke/bench/workload"
	"github.com/alkdev/hubspoke/bench/wsraw"
)

// benchmark is one workload as it is run and shown.
type benchmark struct {
	name, title string
	run         workload.Run
	// can says whether a contender has what the workload needs.
	can func(contender.Contender) bool
	// floor is the row that the others are measured against.
	floor    string
	points   []point
	columns  []report.Column
	variants []variant
	// redis says that it needs one.
	redis bool
	// optional leaves it out unless it is asked for by its name.
	optional bool
}

// point is one setting of a workload's parameters. A quick run has shorter and smaller ones.
type point struct {
	name        string
	full, quick workload.Params
}

// variant is a contender's row with another setup.
type variant struct {
	row, contender string
	setup          contender.Setup
	// floor is the row that it is measured against where that is not the table's.
	floor string
}

const (
	fullTime  = time.Second
	quickTime = 200 * time.Millisecond
)

// benchmarks are all workloads. A new one is a new entry.
func benchmarks() []benchmark {
	return []benchmark{w1(), w2(), w3(), w4(), w5(), w6(), mixed(), growth()}
}

func w1() benchmark {
	return benchmark{
		name: "W1", title: "W1: one connection, server calls client",
		run: workload.Call, can: func(c contender.Contender) bool { return c.Call != nil }, floor: wsraw.Name,
		points: []point{
			calls("128 B x1", 128, 1), calls("128 B x64", 128, 64), calls("4 KiB x1", 4096, 1), calls("4 KiB x64", 4096, 64),
		},
		columns: []report.Column{
			{Head: "128 B x1 cpu us", Point: "128 B x1", Figure: workload.CPU},
			{Head: "128 B x64 cpu us", Point: "128 B x64", Figure: workload.CPU},
			{Head: "rw-sys", Point: "128 B x64", Figure: workload.RWCalls, Bare: true},
			{Head: "mallocs", Point: "128 B x64", Figure: workload.Mallocs, Bare: true},
			{Head: "4 KiB x64 cpu us", Point: "4 KiB x64", Figure: workload.CPU},
			{Head: "128 B x1 p50 us", Point: "128 B x1", Figure: workload.P50},
			{Head: "p99", Point: "128 B x1", Figure: workload.P99, Bare: true},
			{Head: "128 B x64 calls/s", Point: "128 B x64", Figure: workload.Rate},
			{Head: "4 KiB x1 p50 us", Point: "4 KiB x1", Figure: workload.P50},
			{Head: "4 KiB x64 calls/s", Point: "4 KiB x64", Figure: workload.Rate},
		},
		variants: []variant{
			{row: own.Name + ", typed, deadline", contender: own.Name, setup: contender.Setup{Typed: true}},
			{row: wsraw.Name + ", TLS", contender: wsraw.Name, setup: contender.Setup{TLS: true}},
			{row: own.Name + ", TLS", contender: own.Name, setup: contender.Setup{TLS: true}, floor: wsraw.Name + ", TLS"},
		},
	}
}

func w2() benchmark {
	return benchmark{
		name: "W2", title: "W2: caller, router, callee, 128 B",
		run: workload.Route, can: func(c contender.Contender) bool { return c.Route != nil }, floor: wsraw.Name,
		points:  []point{calls("128 B x1", 128, 1), calls("128 B x64", 128, 64)},
		columns: callColumns(),
	}
}

func w5() benchmark {
	b := benchmark{
		name: "W5", title: "W5: across nodes over Redis, 128 B (CPU without Redis's own)", redis: true,
		run: workload.Across, can: func(c contender.Contender) bool { return c.Across != nil }, floor: redisraw.Name,
		points: []point{calls("128 B x1", 128, 1), calls("128 B x64", 128, 64)},
	}
	b.columns = slices.Insert(callColumns(), 4,
		report.Column{Head: "x1 redis cmds", Point: "128 B x1", Figure: workload.Redis, Bare: true},
		report.Column{Head: "x64 redis cmds", Point: "128 B x64", Figure: workload.Redis, Bare: true})
	return b
}

// calls is a point of W1, W2 or W5.
func calls(name string, bytes, inFlight int) point {
	p := workload.Params{Bytes: bytes, InFlight: inFlight, Duration: fullTime}
	quick := p
	quick.Duration = quickTime
	return point{name: name, full: p, quick: quick}
}

func callColumns() []report.Column {
	const one, many = "128 B x1", "128 B x64"
	return []report.Column{
		{Head: "x1 cpu us", Point: one, Figure: workload.CPU},
		{Head: "x64 cpu us", Point: many, Figure: workload.CPU},
		{Head: "x64 rw-sys", Point: many, Figure: workload.RWCalls, Bare: true},
		{Head: "x64 mallocs", Point: many, Figure: workload.Mallocs, Bare: true},
		{Head: "x1 p50 us", Point: one, Figure: workload.P50},
		{Head: "x1 p99", Point: one, Figure: workload.P99, Bare: true},
		{Head: "x64 calls/s", Point: many, Figure: workload.Rate},
	}
}

// workloadNames are all names, or those that run when none is asked for.
func workloadNames(optional bool) []string {
	var names []string
	for _, b := range benchmarks() {
		if optional || !b.optional {
			names = append(names, b.name)
		}
	}
	return names
}

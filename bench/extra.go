package main

import (
	"fmt"
	"time"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/own"
	"github.com/alkdev/hubspoke/bench/report"
	"github.com/alkdev/hubspoke/bench/workload"
	"github.com/alkdev/hubspoke/bench/wsraw"
)

// What hubspoke is measured in against its floor alone: how it holds up, not how it compares.

func onlyOwn(c contender.Contender) bool { return c.Name == own.Name || c.Name == wsraw.Name }

func mixed() benchmark {
	const name = "beside"
	return benchmark{
		name: "mixed", title: "Small calls beside 1 MiB on the same connection, 128 B x1",
		run: workload.Mixed, can: onlyOwn, floor: wsraw.Name,
		points: []point{{
			name: name,
			full: workload.Params{Bytes: 128, Duration: 2 * time.Second}, quick: workload.Params{Bytes: 128, Duration: time.Second / 2},
		}},
		columns: []report.Column{
			{Head: "p50 us alone", Point: name, Figure: workload.P50},
			{Head: "p99 us alone", Point: name, Figure: workload.P99},
			{Head: "p99 us beside", Point: name, Figure: workload.MixedP99},
			{Head: "p99 us during", Point: name, Figure: workload.MixedDuring},
			{Head: "max us beside", Point: name, Figure: workload.MixedMax},
			{Head: "1 MiB alone us", Point: name, Figure: workload.BigAlone},
		},
	}
}

// growthName is the workload that is drawn, too.
const growthName = "growth"

func growth() benchmark {
	b := benchmark{
		name: growthName, title: "Growth: CPU us of a call from the server, over connections and over calls in flight, 128 B",
		run: workload.Growth, can: onlyOwn, floor: wsraw.Name, optional: true,
	}
	for _, p := range workload.GrowthParams(fullTime) {
		quick := p
		quick.Duration = quickTime
		pt := point{name: fmt.Sprintf("%d conn x%d", p.Connections, p.InFlight), full: p, quick: quick}
		b.points = append(b.points, pt)
		b.columns = append(b.columns, report.Column{Head: pt.name, Point: pt.name, Figure: workload.CPU})
	}
	return b
}

package report

import (
	"fmt"
	"strings"

	"github.com/alkdev/hubspoke/bench/workload"
)

// Target is the most that a figure may be.
type Target struct {
	Workload, Row, Point, Figure string
	// Against is the row that it is measured against; empty is the figure itself.
	Against string
	AtMost  float64
}

const (
	own       = "hubspoke"
	wsFloor   = "ws-raw (coder)"
	redisRaw  = "redis-raw + ws callee"
	oneAtOnce = "128 B x1"
	manyAt    = "128 B x64"
)

// Targets are those of the design (performance.md), in its order.
func Targets() []Target {
	const typed = own + ", typed, deadline"
	return []Target{
		{"W1", own, oneAtOnce, workload.CPU, wsFloor, 0.90},
		{"W1", own, oneAtOnce, workload.P50, wsFloor, 0.85},
		{"W1", own, manyAt, workload.CPU, wsFloor, 0.42},
		{"W1", own, manyAt, workload.Rate, wsFloor, 0.60},
		{"W1", own, "4 KiB x64", workload.CPU, wsFloor, 0.66},
		{"W1", own, "4 KiB x64", workload.Rate, wsFloor, 0.72},
		{"W1", own, "4 KiB x1", workload.CPU, wsFloor, 0.80},
		{"W1", own, "4 KiB x1", workload.P50, wsFloor, 0.70},
		{"W1", own, manyAt, workload.Mallocs, "", 5},
		{"W1", typed, manyAt, workload.Mallocs, "", 25},
		{"W1", typed, manyAt, workload.CPU, wsFloor, 0.85},
		{"W1", typed, "4 KiB x64", workload.CPU, wsFloor, 1.80},
		{"W2", own, oneAtOnce, workload.CPU, wsFloor, 0.86},
		{"W2", own, oneAtOnce, workload.P50, wsFloor, 0.92},
		{"W2", own, manyAt, workload.CPU, wsFloor, 0.45},
		{"W2", own, manyAt, workload.Rate, wsFloor, 0.62},
		{"W3", own, "single", workload.CPU, wsFloor, 1.05},
		{"W3", own, "burst", workload.Rate, wsFloor, 0.20},
		{"W4", own, "idle", workload.RSS, "", 9.8},
		{"W4", own, "idle", workload.Goroutines, "", 1},
		{"W5", own, manyAt, workload.CPU, redisRaw, 0.52},
		{"W5", own, manyAt, workload.Rate, redisRaw, 0.58},
		{"W5", own, oneAtOnce, workload.CPU, redisRaw, 1.20},
		{"W5", own, oneAtOnce, workload.Redis, "", 2},
		{"W6", own, "connect", workload.CPU, wsFloor, 1.05},
		{"W6", own, "connect", workload.ClientCPU, wsFloor, 1.10},
	}
}

// String names the target.
func (t Target) String() string {
	figure := t.Figure
	if t.Workload == "W3" && figure == workload.Rate {
		figure = "deliveries/s"
	}
	name := t.Workload + " " + t.Point + " " + figure
	if t.Row != own {
		name += " (" + t.Row + ")"
	}
	if t.Against != "" {
		name += ", to " + t.Against
	}
	return name
}

// Measured is the figure of a target, as a ratio where it is one; false where it was not measured.
func (t Target) Measured(d Data) (float64, bool) {
	series := d.Series[Key{t.Workload, t.Row, t.Point}]
	if t.Against == "" {
		return Median(series.Values(t.Figure))
	}
	return Median(series.Ratios(d.Series[Key{t.Workload, t.Against, t.Point}], t.Figure))
}

// Met says whether a figure is within the target, to the two digits that are shown.
func (t Target) Met(measured float64) bool { return measured < t.AtMost+0.005 }

// TargetsMarkdown is the table of the targets that were measured, and how many of them are met; empty without any.
func TargetsMarkdown(targets []Target, d Data) string {
	var b strings.Builder
	b.WriteString("## Targets\n\n| target | at most | measured | met |\n|---|--:|--:|---|\n")
	measured, met := 0, 0
	for _, t := range targets {
		v, ok := t.Measured(d)
		if !ok {
			continue
		}
		measured++
		verdict := "**no**"
		if t.Met(v) {
			met++
			verdict = "yes"
		}
		sign := ""
		if t.Against != "" {
			sign = "x"
		}
		fmt.Fprintf(&b, "| %s | %s%s | %s%s | %s |\n", t, sign, Number(t.AtMost), sign, Number(v), verdict)
	}
	if measured == 0 {
		return ""
	}
	fmt.Fprintf(&b, "\nMet: %d of %d. Not measured: %d.\n", met, measured, len(targets)-measured)
	return b.String()
}

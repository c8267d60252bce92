package report

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/alkdev/hubspoke/bench/workload"
)

var update = flag.Bool("update", false, "write the golden file anew")

// example is a table with all that can stand in one: ranges, ratios, figures that are missing, rows that failed.
func example() (Table, Data) {
	table := Table{
		Workload: "W1", Title: "W1: an example", Floor: "ws-raw (coder)",
		Columns: []Column{
			{Head: "x1 cpu us", Point: "128 B x1", Figure: workload.CPU},
			{Head: "mallocs", Point: "128 B x64", Figure: workload.Mallocs, Bare: true},
			{Head: "x64 calls/s", Point: "128 B x64", Figure: workload.Rate},
		},
		Rows: []Row{
			{Name: "ws-raw (coder)"}, {Name: "ws-raw (coder), TLS"}, {Name: "hubspoke"},
			{Name: "hubspoke, TLS", Floor: "ws-raw (coder), TLS"}, {Name: "broken"}, {Name: "not measured"},
		},
	}
	d := Data{Series: map[Key]Series{}, Failed: map[Key]string{
		{"W1", "broken", "128 B x64"}: "exit status 1: a | b\nsecond line",
	}}
	put := func(row string, cpu, rate []float64) {
		for _, v := range cpu {
			k := Key{"W1", row, "128 B x1"}
			d.Series[k] = append(d.Series[k], workload.Result{workload.CPU: v})
		}
		for _, v := range rate {
			k := Key{"W1", row, "128 B x64"}
			d.Series[k] = append(d.Series[k], workload.Result{workload.Rate: v, workload.Mallocs: 9.5})
		}
	}
	put("ws-raw (coder)", []float64{20, 40, 30}, []float64{100_000, 80_000, 120_000})
	put("ws-raw (coder), TLS", []float64{60, 60, 60}, nil)
	put("hubspoke", []float64{22, 20, 45}, []float64{200_000, 200_000, 200_000})
	put("hubspoke, TLS", []float64{30, 60, 90}, nil)
	put("broken", []float64{1}, nil)
	return table, d
}

func TestMarkdown(t *testing.T) {
	table, d := example()
	targets := []Target{
		{"W1", own, "128 B x1", workload.CPU, wsFloor, 1.10},
		{"W1", own, "128 B x64", workload.Rate, wsFloor, 0.49},
		{"W1", own, "128 B x64", workload.Mallocs, "", 10},
		{"W9", own, "128 B x64", workload.Mallocs, "", 10},
	}
	got := table.Markdown(d) + "\n" + TargetsMarkdown(targets, d)
	golden := filepath.Join("testdata", "example.md")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Ratios are taken within a repetition, and the median afterwards: here the ratio of the medians would be 0.73.
func TestRatios(t *testing.T) {
	_, d := example()
	floor := d.Series[Key{"W1", wsFloor, "128 B x1"}]
	ratios := d.Series[Key{"W1", own, "128 B x1"}].Ratios(floor, workload.CPU)
	if median, ok := Median(ratios); len(ratios) != 3 || !ok || median != 1.1 {
		t.Errorf("ratios %v, median %v", ratios, median)
	}
	// A rate twice as high is half the cost.
	if got := (Series{{workload.Rate: 200}}).Ratios(Series{{workload.Rate: 100}}, workload.Rate); len(got) != 1 || got[0] != 0.5 {
		t.Errorf("the ratio of a double rate is %v", got)
	}
	// A repetition that lacks one of them has none, and moves no other.
	own := Series{nil, {workload.CPU: 3}, {workload.CPU: 4}}
	if got := own.Ratios(Series{{workload.CPU: 1}, nil, {workload.CPU: 2}}, workload.CPU); len(got) != 1 || got[0] != 2 {
		t.Errorf("ratios with gaps: %v", got)
	}
}

func TestMedian(t *testing.T) {
	if _, ok := Median(nil); ok {
		t.Error("there is a median of nothing")
	}
	values := []float64{3, 1, 4, 2}
	if got, _ := Median(values); got != 2.5 {
		t.Errorf("got %v", got)
	}
	if values[0] != 3 {
		t.Error("the values were changed")
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.00", 0.204: "0.20", 9.994: "9.99", 9.999: "10.0", 18.54: "18.5", 99.96: "100", 102.4: "102", 6083: "6083",
		10_000: "10.0k", 84_812: "84.8k", 103_400: "103k", 999_400: "999k", 1_234_567: "1.23M", -12: "-12.0", -0.5: "-0.50",
	} {
		if got := Number(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}

func TestTargetIsMetToTwoDigits(t *testing.T) {
	target := Target{AtMost: 0.6}
	for v, want := range map[float64]bool{0.5: true, 0.6: true, 0.604: true, 0.606: false} {
		if target.Met(v) != want {
			t.Errorf("%v: met is %v", v, !want)
		}
	}
}

package workload_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/workload"
)

// measure runs a workload with the contender of that name and sees that no client is left.
func measure(t *testing.T, run workload.Run, name string, p workload.Params) (workload.Result, error) {
	t.Helper()
	c, _ := find(name)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := run(ctx, c, contender.Setup{}, p)
	if n := open.Load(); n != 0 {
		t.Errorf("%d clients are still connected", n)
	}
	return r, err
}

// wants says that figures are there and in a range that no working measurement leaves.
func wants(t *testing.T, r workload.Result, figures ...string) {
	t.Helper()
	for _, name := range figures {
		if v, ok := r[name]; !ok || v <= 0 {
			t.Errorf("%s is %v (%t)", name, v, ok)
		}
	}
}

func TestFanOut(t *testing.T) {
	for _, burst := range []int{0, 8} {
		p := workload.Params{Connections: 20, Bytes: 128, Burst: burst, Duration: 200 * time.Millisecond}
		r, err := measure(t, workload.FanOut, "line", p)
		if err != nil {
			t.Fatal(err)
		}
		wants(t, r, workload.Rate, workload.CPU, workload.RWCalls)
		// The server writes once for each delivery; what it reads are commands.
		if calls := r[workload.RWCalls]; calls < 1 || calls > 1.5 {
			t.Errorf("burst %d: %v system calls a delivery", burst, calls)
		}
	}
}

// The checks are worth something only if they fail.
func TestFanOutFaults(t *testing.T) {
	for fault, want := range map[string]string{
		"wrong":    "message 3 has to come, and what came is",
		"missing":  "message 3 has to come, and what came is",
		"repeated": "message 4 has to come, and what came is",
		"swapped":  "message 3 has to come, and what came is",
	} {
		p := workload.Params{Connections: 4, Bytes: 128, Burst: 8, Duration: 100 * time.Millisecond}
		_, err := measure(t, workload.FanOut, "line "+fault, p)
		if err == nil || !strings.Contains(err.Error(), "subscriber 1: "+want) {
			t.Errorf("%s: %v", fault, err)
		}
	}
}

func TestFanOutOfWhatCannot(t *testing.T) {
	_, err := workload.FanOut(t.Context(), contender.Contender{Name: "nothing"}, contender.Setup{}, workload.Params{Connections: 1})
	if err == nil || !strings.Contains(err.Error(), "nothing does not serve and dial") {
		t.Error(err)
	}
}

func TestIdle(t *testing.T) {
	r, err := measure(t, workload.Idle, "line", workload.Params{Connections: 20})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := r[workload.RSS]; !ok {
		t.Error("no memory figure")
	}
	// The server of these tests has no goroutine for a client, so a count would be one that was not there before.
	if g := r[workload.Goroutines]; g != 0 {
		t.Errorf("%v goroutines a connection", g)
	}
}

func TestConnect(t *testing.T) {
	r, err := measure(t, workload.Connect, "line", workload.Params{Connections: 200})
	if err != nil {
		t.Fatal(err)
	}
	wants(t, r, workload.Usable, workload.CPU, workload.ClientCPU)
}

func TestGrowth(t *testing.T) {
	p := workload.Params{Connections: 10, InFlight: 4, Bytes: 128, Duration: 100 * time.Millisecond}
	r, err := measure(t, workload.Growth, "line", p)
	if err != nil {
		t.Fatal(err)
	}
	wants(t, r, workload.Rate, workload.CPU, workload.P50, workload.P99, workload.ServerRSS)
	if calls := r[workload.RWCalls]; calls < 3 || calls > 8 {
		t.Errorf("%v system calls a call", calls)
	}
}

func TestGrowthParams(t *testing.T) {
	points := map[[2]int]bool{}
	for _, p := range workload.GrowthParams(time.Second) {
		points[[2]int{p.Connections, p.InFlight}] = true
	}
	for _, want := range [][2]int{{1, 64}, {10_000, 64}, {1, 1}, {1, 4_096}} {
		if !points[want] {
			t.Errorf("no point with %d connections and %d in flight", want[0], want[1])
		}
	}
	if len(points) != 11 {
		t.Errorf("%d points", len(points))
	}
}

func TestMixed(t *testing.T) {
	r, err := measure(t, workload.Mixed, "line", workload.Params{Bytes: 128, Duration: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	wants(t, r, workload.P99, workload.MixedP99, workload.MixedMax, workload.MixedDuring, workload.BigAlone)
	// Here a small call waits for the big one, so at least one of them took about as long.
	if r[workload.MixedMax] < r[workload.P50] {
		t.Errorf("the longest is %v us", r[workload.MixedMax])
	}
}

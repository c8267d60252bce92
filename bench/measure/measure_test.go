package measure

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/internal/redistest"
)

func TestPercentiles(t *testing.T) {
	order := rand.Perm(100)
	parts := []*Latencies{NewLatencies(50), NewLatencies(0)}
	for i, n := range order {
		parts[i%2].Add(time.Duration(n + 1))
	}
	all := Merge(parts)
	if len(all) != 100 || !slices.IsSorted(all) {
		t.Fatalf("merged to %v", all)
	}
	for p, want := range map[int]time.Duration{0: 1, 1: 1, 50: 50, 99: 99, 100: 100} {
		if got := all.Percentile(p); got != want {
			t.Errorf("p%d is %d, want %d", p, got, want)
		}
	}
	if got := (Sorted{7}).Percentile(50); got != 7 {
		t.Errorf("p50 of one is %d", got)
	}
	if got := (Sorted{1, 2, 3}).Percentile(99); got != 3 {
		t.Errorf("p99 of three is %d, want the greatest", got)
	}
	if got := (Sorted{}).Percentile(50); got != 0 {
		t.Errorf("p50 of none is %d", got)
	}
}

func TestNotingAllocatesNothing(t *testing.T) {
	l := NewLatencies(2000)
	if n := testing.AllocsPerRun(1000, func() { l.Add(1) }); n != 0 {
		t.Errorf("noting one allocates %v objects", n)
	}
}

func TestUsage(t *testing.T) {
	before := Take()
	var kept [][]byte
	for range 1000 {
		kept = append(kept, make([]byte, 100))
	}
	used := Take().Since(before)
	runtime.KeepAlive(kept)
	if used.Mallocs < 1000 || used.Mallocs > 3000 {
		t.Errorf("1000 objects count as %d", used.Mallocs)
	}
	if used.Elapsed <= 0 {
		t.Errorf("elapsed %v", used.Elapsed)
	}
	if used.HasCPU && used.CPU < 0 {
		t.Errorf("cpu %v", used.CPU)
	}
	if runtime.GOOS != "linux" {
		return
	}
	if rss, ok := RSS(); !ok || rss < 1<<20 {
		t.Errorf("RSS %d, %v", rss, ok)
	}
	if !used.HasCPU || !used.HasRW {
		t.Errorf("Linux tells everything, got %+v", used)
	}
}

func TestMissingIsNotZero(t *testing.T) {
	if _, found := number([]byte("rchar: 1\n"), "syscr:"); found {
		t.Error("found what is not there")
	}
	if n, found := number([]byte("rchar: 1\nsyscr: 42\n"), "syscr:"); !found || n != 42 {
		t.Errorf("got %d, %v", n, found)
	}
}

func TestCountCommands(t *testing.T) {
	text := "# Commandstats\r\n" +
		"cmdstat_publish:calls=40,usec=81,usec_per_call=2.02,rejected_calls=0,failed_calls=0\r\n" +
		"cmdstat_client|setinfo:calls=9,usec=1,usec_per_call=1.00,rejected_calls=0,failed_calls=0\r\n" +
		"cmdstat_ping:calls=7,usec=1,usec_per_call=1.00,rejected_calls=0,failed_calls=0\r\n" +
		"cmdstat_evalsha:calls=2,usec=1,usec_per_call=1.00,rejected_calls=0,failed_calls=0\r\n"
	if n, err := countCommands(text); err != nil || n != 42 {
		t.Errorf("counted %d, %v, want 42", n, err)
	}
	if _, err := countCommands("cmdstat_get:nothing\r\n"); err == nil {
		t.Error("a line without a count was taken")
	}
}

func TestRedis(t *testing.T) {
	server := redistest.Start(t, redistest.Args("--requirepass", "secret"))
	url := "redis://:secret@" + server.Addr()
	if version, err := RedisVersion(t.Context(), url); err != nil || version == "" {
		t.Fatalf("version %q, %v", version, err)
	}
	before, err := RedisCommands(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		server.Do("SET", "a", "b") // which authenticates, and that is not counted
		server.Do("PING")
	}
	after, err := RedisCommands(t.Context(), url)
	if err != nil || after-before != 3 {
		t.Errorf("counted %d, %v, want 3", after-before, err)
	}
	for _, wrong := range []string{server.URL(), "redis://:other@" + server.Addr(), "http://" + server.Addr(), "redis://127.0.0.1:1"} {
		if _, err := RedisCommands(t.Context(), wrong); err == nil {
			t.Errorf("%s was answered", wrong)
		}
	}
}

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/own"
	"github.com/alkdev/hubspoke/bench/process"
	"github.com/alkdev/hubspoke/bench/report"
	"github.com/alkdev/hubspoke/bench/workload"
	"github.com/alkdev/hubspoke/internal/redistest"
)

// The test binary is the program when it starts itself for a measurement, or for a server.
func TestMain(m *testing.M) {
	process.Main(findServer)
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestRun goes all the way once: processes, tables, files.
func TestRun(t *testing.T) {
	t.Setenv(redisVariable, redistest.Any(t).URL())
	dir := t.TempDir()
	markdown, figures := filepath.Join(dir, "run.md"), filepath.Join(dir, "run.json")
	err := runAll(t.Context(), []string{
		"-quick", "-repeat", "1", "-workloads", "W2,W5", "-contenders", "^hubspoke$", "-markdown", markdown, "-json", figures,
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(markdown)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"## W2", "## W5", "| hubspoke |", "| ws-raw (coder) |", "**x1.00**", "| redis-raw + ws callee |", "## Targets"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Contains(string(text), dir) || strings.Contains(string(text), "failed") || strings.Contains(string(text), "NATS (tcp)") {
		t.Errorf("what should not be there is in\n%s", text)
	}
	raw, err := os.ReadFile(figures)
	if err != nil {
		t.Fatal(err)
	}
	var saved struct {
		Machine machine
		Samples []sample
	}
	if err := json.Unmarshal(raw, &saved); err != nil {
		t.Fatal(err)
	}
	if len(saved.Samples) != 2*2*2 { // workloads, points, rows
		t.Errorf("%d samples", len(saved.Samples))
	}
	for _, s := range saved.Samples {
		if s.Error != "" || s.Figures[workload.Rate] <= 0 {
			t.Errorf("sample %+v", s)
		}
		if s.Workload == "W5" && s.Point == "128 B x1" && s.Figures[workload.Redis] < 1 {
			t.Errorf("a call over Redis without its commands: %+v", s)
		}
	}
}

func TestFailuresAreTold(t *testing.T) {
	s := session{exe: os.Args[0], log: os.Stderr, data: report.Data{Series: map[report.Key]report.Series{}, Failed: map[report.Key]string{}}}
	b := w5() // there is no Redis in these settings
	rows := b.matching(regexp.MustCompile("^hubspoke$"))
	s.repeat = 2
	if err := s.measure(t.Context(), b, rows); err != nil {
		t.Fatal(err)
	}
	if len(s.data.Failed) != len(rows)*len(b.points) || len(s.samples) != len(rows)*len(b.points) {
		t.Errorf("%d failures in %d samples, want each point of each row to fail once", len(s.data.Failed), len(s.samples))
	}
	if table := b.table(rows).Markdown(s.data); !strings.Contains(table, "W5 needs a Redis") {
		t.Errorf("the error is not in\n%s", table)
	}
}

func TestOrderIsRotated(t *testing.T) {
	b := w1()
	names := func(rows []row) (names []string) {
		for _, r := range rows {
			names = append(names, r.name)
		}
		return names
	}
	if got := names(b.rows()); got[0] != b.floor {
		t.Errorf("the floor is not first: %q", got)
	}
	got := names(b.matching(regexp.MustCompile("^hubspoke, TLS$")))
	if want := []string{"ws-raw (coder)", "ws-raw (coder), TLS", "hubspoke, TLS"}; !slices.Equal(got, want) {
		t.Errorf("rows %q, want %q", got, want)
	}
	rows := b.matching(regexp.MustCompile("^hubspoke$"))
	if got := names(turned(rows, 3)); !slices.Equal(got, []string{"hubspoke", "ws-raw (coder)"}) {
		t.Errorf("in the fourth repetition %q", got)
	}
}

// What the targets and tables name is measured.
func TestNamesFit(t *testing.T) {
	figures := map[report.Key]bool{}
	for _, b := range benchmarks() {
		rows := b.rows()
		for _, c := range b.columns {
			if _, _, _, err := find(b.name, c.Point, rows[0].name, true); err != nil {
				t.Errorf("column %s: %v", c.Head, err)
			}
		}
		for _, p := range b.points {
			for _, r := range rows {
				figures[report.Key{Workload: b.name, Row: r.name, Point: p.name}] = true
			}
		}
		for _, r := range rows {
			if r.floor != "" && !slices.ContainsFunc(rows, func(other row) bool { return other.name == r.floor }) {
				t.Errorf("%s: the floor %q of %q is no row", b.name, r.floor, r.name)
			}
		}
	}
	for _, target := range report.Targets() {
		if !figures[report.Key{Workload: target.Workload, Row: target.Row, Point: target.Point}] {
			t.Errorf("nothing measures the target %s", target)
		}
		if target.Against != "" && !figures[report.Key{Workload: target.Workload, Row: target.Against, Point: target.Point}] {
			t.Errorf("nothing measures what the target %s is against", target)
		}
	}
}

func TestContendersHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range contenders() {
		if seen[c.Name] || c.Name == "" {
			t.Errorf("the name %q is there twice, or empty", c.Name)
		}
		seen[c.Name] = true
	}
	if _, found := findContender("nobody"); found {
		t.Error("found a contender that there is not")
	}
}

func TestParse(t *testing.T) {
	t.Setenv(redisVariable, "")
	s, err := parse([]string{"-quick", "-workloads", "W5,W1", "-redis", "redis://:secret@host:1", "-json", "out.json"})
	if err != nil {
		t.Fatal(err)
	}
	if s.repeat != 2 || !slices.Equal(s.workloads, []string{"W1", "W5"}) || s.redis != "redis://:secret@host:1" {
		t.Errorf("parsed %+v", s)
	}
	if want := "bench -quick -workloads 'W5,W1'"; s.command != want {
		t.Errorf("the command is %q, want %q", s.command, want)
	}
	if s, err := parse(nil); err != nil || s.repeat != 5 || slices.Contains(s.workloads, growthName) {
		t.Errorf("without arguments %+v, %v", s, err)
	}
	for _, args := range [][]string{{"-workloads", "W7"}, {"-contenders", "("}, {"more"}, {"-repeat", "-1"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%q were taken", args)
		}
	}
}

func TestRedisOfOurOwn(t *testing.T) {
	redis, err := startRedis(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer redis.stop()
	if m := describe(t.Context(), redis.url); m.Redis == "" {
		t.Errorf("described %+v", m)
	}
}

// A profile of the serving process is written when it closes.
func TestServerProfile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cpu.out")
	t.Setenv(serverProfileVariable, file)
	c, found := findServer(own.Name)
	if !found {
		t.Fatal("not found")
	}
	server, err := c.Serve(contender.Setup{})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Size() == 0 {
		t.Errorf("the profile: %v, %v", info, err)
	}
}

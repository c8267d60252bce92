package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/alkdev/hubspoke/bench/report"
	"github.com/alkdev/hubspoke/bench/workload"
)

// sample is one measurement, as it stands in the JSON file.
type sample struct {
	Workload   string          `json:"workload"`
	Point      string          `json:"point"`
	Row        string          `json:"row"`
	Repetition int             `json:"repetition"`
	Figures    workload.Result `json:"figures,omitempty"`
	Error      string          `json:"error,omitempty"`
}

// session is one run of the program.
type session struct {
	settings
	exe     string
	data    report.Data
	samples []sample
	log     io.Writer
}

// runAll measures and prints everything that the arguments ask for.
func runAll(ctx context.Context, args []string) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	run := &session{settings: s, exe: exe, log: os.Stderr, data: report.Data{
		Series: map[report.Key]report.Series{}, Failed: map[report.Key]string{},
	}}
	if s.redis == "" && slices.ContainsFunc(s.chosen(), func(b benchmark) bool { return b.redis }) {
		redis, err := startRedis(ctx)
		if err != nil {
			return err
		}
		defer redis.stop()
		run.redis = redis.url
	}
	start := time.Now()
	machine := describe(ctx, run.redis)
	machine.Command, machine.Date = s.command, start.UTC().Format("2006-01-02 15:04 MST")
	out, err := run.tables(ctx, machine)
	run.progress("took %v", time.Since(start).Round(time.Second))
	if err != nil {
		return err
	}
	if err := run.save(machine, out); err != nil {
		return err
	}
	if len(run.data.Failed) > 0 {
		return errFailed
	}
	return nil
}

// progress is for whoever waits, and lost where nobody can read it.
func (s *session) progress(format string, args ...any) {
	_, _ = fmt.Fprintf(s.log, format+"\n", args...)
}

// chosen are the workloads that run.
func (s settings) chosen() []benchmark {
	return slices.DeleteFunc(benchmarks(), func(b benchmark) bool { return !slices.Contains(s.workloads, b.name) })
}

// tables measures one workload after the other, prints each as it is done, and gives all that it printed.
func (s *session) tables(ctx context.Context, m machine) (string, error) {
	var all strings.Builder
	out := io.MultiWriter(os.Stdout, &all)
	say := func(text string) { _, _ = fmt.Fprintln(out, text) }
	say(m.markdown(s.repeat))
	for _, b := range s.chosen() {
		rows := b.matching(s.contenders)
		if err := s.measure(ctx, b, rows); err != nil {
			return "", err
		}
		say(b.table(rows).Markdown(s.data))
	}
	if targets := report.TargetsMarkdown(report.Targets(), s.data); targets != "" {
		say(targets)
	}
	return all.String(), nil
}

// measure makes all repetitions of one workload. Within a repetition the rows of a point come right behind each other, in
// an order that changes from one repetition to the next: what disturbs the machine disturbs neighbours alike.
func (s *session) measure(ctx context.Context, b benchmark, rows []row) error {
	for repetition := range s.repeat {
		for _, p := range b.points {
			for _, r := range turned(rows, repetition) {
				if err := s.one(ctx, b, p, r, repetition); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// turned gives the rows in the order of a repetition.
func turned(rows []row, repetition int) []row {
	first := repetition % len(rows)
	return slices.Concat(rows[first:], rows[:first])
}

// one makes a measurement and keeps it. A row that has failed at a point is not measured there again. The error is
// only that of a run that was interrupted.
func (s *session) one(ctx context.Context, b benchmark, p point, r row, repetition int) error {
	key := report.Key{Workload: b.name, Row: r.name, Point: p.name}
	if _, failed := s.data.Failed[key]; failed {
		return nil
	}
	result, err := s.worker(ctx, key)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	sm := sample{Workload: b.name, Point: p.name, Row: r.name, Repetition: repetition, Figures: result}
	if err != nil {
		sm.Error = err.Error()
		s.data.Failed[key] = sm.Error
		delete(s.data.Series, key)
		s.progress("%s %d/%d %s, %s: FAILED: %v", b.name, repetition+1, s.repeat, p.name, r.name, err)
	} else {
		s.data.Series[key] = append(s.data.Series[key], result)
		s.progress("%s %d/%d %s, %s: %s", b.name, repetition+1, s.repeat, p.name, r.name, brief(result))
	}
	s.samples = append(s.samples, sm)
	return nil
}

// brief is a result in a few words.
func brief(r workload.Result) string {
	var parts []string
	for _, figure := range []string{workload.CPU, workload.P50, workload.Rate, workload.RSS, workload.Usable} {
		if v, ok := r[figure]; ok {
			parts = append(parts, figure+" "+report.Number(v))
		}
	}
	return strings.Join(parts, ", ")
}

// worker makes one measurement in a process of its own.
func (s *session) worker(ctx context.Context, key report.Key) (workload.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, workerTime)
	defer cancel()
	args := []string{"worker", "-workload", key.Workload, "-point", key.Point, "-row", key.Row}
	if s.quick {
		args = append(args, "-quick")
	}
	cmd := exec.CommandContext(ctx, s.exe, args...)
	cmd.Env = append(os.Environ(), redisVariable+"="+s.redis)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// What it has started itself ends when it does, but may hold the pipes for a moment longer.
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("not done in %v", workerTime)
		}
		return nil, fmt.Errorf("%w: %s", err, lastLines(stderr.String()))
	}
	var result workload.Result
	if err := json.Unmarshal(stdout.Bytes(), &result); err != nil {
		return nil, fmt.Errorf("what the worker printed: %w", err)
	}
	return result, nil
}

// lastLines is the end of what a worker said, where its error stands.
func lastLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-4):], " / ")
}

// save writes the files that were asked for.
func (s *session) save(m machine, markdown string) error {
	if s.markdown != "" {
		if err := os.WriteFile(s.markdown, []byte(markdown), 0o644); err != nil {
			return err
		}
	}
	if s.plot != "" {
		if err := draw(s.plot, s.data); err != nil {
			return err
		}
	}
	if s.json == "" {
		return nil
	}
	text, err := json.MarshalIndent(struct {
		Machine machine  `json:"machine"`
		Samples []sample `json:"samples"`
	}{m, s.samples}, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(s.json, append(text, '\n'), 0o644)
}

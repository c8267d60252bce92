package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// verdict is the result of the tests for a mutant.
type verdict string

const (
	killed        verdict = "killed"
	survived      verdict = "survived"
	doesNotBuild  verdict = "does not compile"
	notDecidedYet verdict = ""
)

const (
	slowTest  = 500 * time.Millisecond // tests that take longer run only where the others have passed
	spareTime = 15 * time.Second       // each run of tests may take this and several times what it took without a change
	memory    = 6 << 20                // KiB of data that a test may have, since a mutant may ask for memory without end
)

// suite is the tests of one package, and how long they take without a change.
type suite struct {
	dir        string
	slow       []string // top-level tests that run last
	left       []string // top-level tests that do not run
	fast, full time.Duration
	reaches    map[string]bool // the packages that the tests are built from, by import path
}

// laboratory builds and tests mutants.
type laboratory struct {
	*module
	temp  string
	skip  time.Duration // tests that take longer are left out
	more  []string      // packages whose tests run after a package's own
	tests map[string]*suite
}

// prepare runs the tests of the packages without a change: they must pass, and their times are the measure.
func (l *laboratory) prepare(ctx context.Context, dirs []string) error {
	l.tests = map[string]*suite{}
	for _, dir := range slices.Concat(dirs, l.more) {
		if l.tests[dir] != nil {
			continue
		}
		s, err := l.measure(ctx, dir)
		if err != nil {
			return fmt.Errorf("the tests of %s, without a change: %w", dir, err)
		}
		l.tests[dir] = s
	}
	return nil
}

// passed is the line of a top-level test in the output of a test program.
var passed = regexp.MustCompile(`(?m)^--- PASS: (\S+) \(([0-9.]+)s\)$`)

func (l *laboratory) measure(ctx context.Context, dir string) (*suite, error) {
	program := filepath.Join(l.temp, "unchanged")
	if out, err := l.build(ctx, dir, program, ""); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	began := time.Now()
	out, err := l.run(ctx, dir, program, 10*time.Minute, "-test.v")
	if err != nil {
		return nil, fmt.Errorf("%w\n%s\n%s", err, bytes.Join(failed.FindAll(out, -1), []byte("\n")), tail(out))
	}
	s := &suite{dir: dir, full: time.Since(began), reaches: map[string]bool{}}
	for _, m := range passed.FindAllSubmatch(out, -1) {
		seconds, err := strconv.ParseFloat(string(m[2]), 64)
		if err != nil {
			return nil, err
		}
		took := time.Duration(seconds * float64(time.Second))
		switch {
		case took > l.skip:
			s.left = append(s.left, string(m[1]))
		case took > slowTest:
			s.slow = append(s.slow, string(m[1]))
		default:
			s.fast += took
		}
	}
	list, err := l.command(ctx, "go", "list", "-deps", "-test", "./"+dir).Output()
	if err != nil {
		return nil, err
	}
	for name := range strings.FieldsSeq(string(list)) {
		s.reaches[name] = true
	}
	return s, nil
}

func tail(out []byte) []byte { return out[max(0, len(out)-4000):] }

// judge builds the test programs with the change and runs them, those of the package first and slow tests last,
// until a test fails. It returns what failed.
func (l *laboratory) judge(ctx context.Context, m *mutant) (verdict, string, error) {
	temp, err := os.MkdirTemp(l.temp, "mutant")
	if err != nil {
		return notDecidedYet, "", err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	overlay, err := l.overlay(temp, m)
	if err != nil {
		return notDecidedYet, "", err
	}
	var suites []*suite
	for _, dir := range slices.Concat([]string{m.dir}, l.more) {
		s := l.tests[dir]
		if !slices.Contains(suites, s) && s.reaches[l.path+"/"+m.dir] {
			suites = append(suites, s)
		}
	}
	program := func(i int) string { return filepath.Join(temp, strconv.Itoa(i)) }
	for i, s := range suites {
		if _, err := l.build(ctx, s.dir, program(i), overlay); err != nil {
			return doesNotBuild, "", ctx.Err()
		}
		if why := l.fails(ctx, s, program(i), false); why != "" {
			return killed, why, ctx.Err()
		}
	}
	for i, s := range suites {
		if len(s.slow) == 0 {
			continue
		}
		if why := l.fails(ctx, s, program(i), true); why != "" {
			return killed, why, ctx.Err()
		}
	}
	return survived, "", ctx.Err()
}

// overlay writes the changed file and the overlay description for the compiler.
func (l *laboratory) overlay(temp string, m *mutant) (string, error) {
	changed := filepath.Join(temp, "changed.go")
	if err := os.WriteFile(changed, m.apply(l.texts[m.file]), 0o600); err != nil {
		return "", err
	}
	original := filepath.Join(l.root, filepath.FromSlash(m.file))
	text, err := json.Marshal(map[string]map[string]string{"Replace": {original: changed}})
	if err != nil {
		return "", err
	}
	name := filepath.Join(temp, "overlay.json")
	return name, os.WriteFile(name, text, 0o600)
}

func (l *laboratory) build(ctx context.Context, dir, program, overlay string) ([]byte, error) {
	args := []string{"test", "-c", "-vet=off", "-ldflags=-s -w", "-o", program}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	return l.command(ctx, "go", append(args, "./"+dir)...).CombinedOutput()
}

const tooLong = " takes more than "

// fails returns the name of the test that failed, or "".
func (l *laboratory) fails(ctx context.Context, s *suite, program string, slow bool) string {
	limit := spareTime + 4*s.fast
	choice := "-test.skip=" + pattern(slices.Concat(s.slow, s.left))
	if slow {
		limit = spareTime + 4*s.full
		choice = "-test.run=" + pattern(s.slow)
	}
	out, err := l.run(ctx, s.dir, program, limit, "-test.failfast", choice)
	if err == nil {
		return ""
	}
	if m := failed.FindSubmatch(out); m != nil {
		return s.dir + " " + string(m[1])
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return s.dir + tooLong + limit.String()
	}
	return s.dir + " " + err.Error()
}

var failed = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

func pattern(tests []string) string { return "^(" + strings.Join(tests, "|") + ")$" }

// run runs a test program in the directory of its package. It ends what the program has started with it. The limit of memory
// is on data, not on address space, of which a WebAssembly runtime reserves more than there is memory.
func (l *laboratory) run(ctx context.Context, dir, program string, limit time.Duration, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	script := fmt.Sprintf(`ulimit -d %d 2>/dev/null; exec "$0" "$@"`, memory)
	cmd := l.command(ctx, "sh", slices.Concat([]string{"-c", script, program}, args)...)
	cmd.Dir = filepath.Join(l.root, filepath.FromSlash(dir))
	inGroup(cmd)
	out, err := cmd.CombinedOutput()
	endGroup(cmd)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return out, err
}

func (l *laboratory) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = l.root
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// result is a mutant with its verdict.
type result struct {
	mutant
	verdict verdict
	by      string // the test that failed
	took    time.Duration
}

// judgeAll tries mutants in their order until n have compiled. The set it tries depends on the order alone, not on
// how many are tried concurrently.
func (l *laboratory) judgeAll(ctx context.Context, order []mutant, n, workers int, report func(result)) ([]result, error) {
	var results []result
	for compiled := 0; compiled < n && len(order) > 0; {
		batch := order[:min(n-compiled, len(order))]
		order = order[len(batch):]
		found, err := l.judgeBatch(ctx, batch, workers, report)
		results = append(results, found...)
		if err != nil {
			return results, err
		}
		for _, r := range found {
			if r.verdict != doesNotBuild {
				compiled++
			}
		}
	}
	return results, nil
}

func (l *laboratory) judgeBatch(ctx context.Context, batch []mutant, workers int, report func(result)) ([]result, error) {
	todo := make(chan mutant)
	var mu sync.Mutex
	var results []result
	var firstErr error
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for m := range todo {
				began := time.Now()
				v, by, err := l.judge(ctx, &m)
				r := result{mutant: m, verdict: v, by: by, took: time.Since(began)}
				mu.Lock()
				if err != nil {
					firstErr = errors.Join(firstErr, err)
				} else {
					results = append(results, r)
					report(r)
				}
				mu.Unlock()
			}
		})
	}
	for _, m := range batch {
		select {
		case todo <- m:
		case <-ctx.Done():
		}
	}
	close(todo)
	wg.Wait()
	if ctx.Err() != nil {
		return results, ctx.Err()
	}
	return results, firstErr
}

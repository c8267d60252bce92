package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// writeModule writes a module of two packages. The tests of a notice less than those of b, which use it.
func writeModule(t *testing.T) *module {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module example.com/m\n\ngo 1.26\n",
		"a/a.go": "package a\n\nfunc Least(x, y int) int {\n\tif x < y {\n\t\treturn x\n\t}\n\treturn y\n}\n\n" +
			"func Untested() int { return 7 }\n\nfunc Hang(x int) {\n\tfor x < 1 {\n\t\tx++\n\t}\n}\n",
		"a/a_plan9.go": "package a\n\nfunc Other() int { return 9 }\n",
		"a/a_test.go":  "package a\n\nimport \"testing\"\n\nfunc TestRuns(t *testing.T) { Least(1, 2); Untested(); Hang(0) }\n",
		"b/b.go":       "package b\n\nimport \"example.com/m/a\"\n\nvar Least = a.Least\n",
		"b/b_test.go": "package b\n\nimport \"testing\"\n\nfunc TestLeast(t *testing.T) {\n" +
			"\tif Least(1, 2) != 1 || Least(2, 1) != 1 {\n\t\tt.Fatal(\"wrong\")\n\t}\n}\n",
	} {
		full := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, err := openModule(root)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSampleDependsOnItsSeedOnly(t *testing.T) {
	m := writeModule(t)
	all, err := m.all([]string{"a"})
	if err != nil {
		t.Fatal(err)
	}
	orders := map[string]bool{}
	for seed := range uint64(8) {
		first, second := sample(all, seed), sample(all, seed)
		if !slices.Equal(first, second) {
			t.Errorf("seed %d: two orders", seed)
		}
		order, lines := "", map[int]bool{}
		for _, c := range first {
			if lines[c.line] {
				t.Errorf("seed %d: line %d twice", seed, c.line)
			}
			lines[c.line] = true
			order += strconv.Itoa(c.line) + " "
			if c.file != "a/a.go" {
				t.Errorf("a change of %s", c.file)
			}
		}
		orders[order] = true
	}
	if len(orders) < 3 {
		t.Errorf("8 seeds have %d orders", len(orders))
	}
}

func TestSurvivors(t *testing.T) {
	m := writeModule(t)
	lab := &laboratory{module: m, temp: t.TempDir(), skip: time.Minute, more: []string{"b"}}
	if err := lab.prepare(t.Context(), []string{"a"}); err != nil {
		t.Fatal(err)
	}
	find := func(line int, text string) mutant {
		all, err := m.all([]string{"a"})
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(all, func(c mutant) bool { return c.line == line && c.text == text })
		if i < 0 {
			t.Fatalf("no change of line %d to %q in %+v", line, text, all)
		}
		return all[i]
	}
	order := []mutant{
		find(5, "0"),   // noticed by b
		find(7, "0"),   // made one that does not compile
		find(10, "8"),  // unnoticed
		find(4, "<="),  // equivalent
		find(10, "6"),  // one too many
		find(14, "--"), // never tried
	}
	order[1].text = "nothing"
	reported := 0
	results, err := lab.judgeAll(t.Context(), order, 4, 2, func(result) { reported++ })
	if err != nil {
		t.Fatal(err)
	}
	verdicts := make([]verdict, len(order))
	for _, r := range results {
		verdicts[slices.Index(order, r.mutant)] = r.verdict
		if r.verdict == killed && r.by != "b TestLeast" {
			t.Errorf("killed by %q", r.by)
		}
	}
	want := []verdict{killed, doesNotBuild, survived, survived, survived, notDecidedYet}
	if !slices.Equal(verdicts, want) || reported != 5 {
		t.Errorf("%d reported: %q, want %q", reported, verdicts, want)
	}
	if text, err := os.ReadFile(filepath.Join(m.root, "a", "a.go")); err != nil || string(text) != string(m.texts["a/a.go"]) {
		t.Errorf("the file has changed: %v %s", err, text)
	}
}

// A change may let a test run without end. It counts as noticed when its timeout expires.
func TestEndlessMutantIsEnded(t *testing.T) {
	m := writeModule(t)
	lab := &laboratory{module: m, temp: t.TempDir()}
	program := filepath.Join(lab.temp, "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nsleep 3600 &\nsleep 3600\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := lab.run(t.Context(), "a", program, 50*time.Millisecond)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the end of its time", err)
	}
}

func TestPrepareRefusesTestsThatFail(t *testing.T) {
	m := writeModule(t)
	failing := "package a\n\nimport \"testing\"\n\nfunc TestNo(t *testing.T) { t.Fatal(\"no\") }\n"
	if err := os.WriteFile(filepath.Join(m.root, "a", "no_test.go"), []byte(failing), 0o600); err != nil {
		t.Fatal(err)
	}
	lab := &laboratory{module: m, temp: t.TempDir(), skip: time.Minute}
	if err := lab.prepare(t.Context(), []string{"a"}); err == nil {
		t.Error("tests that fail without a change were accepted")
	}
}

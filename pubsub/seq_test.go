package pubsub

import (
	"fmt"
	"iter"
	"slices"
	"testing"
)

// counted yields 0..n-1 and notes how many were asked for.
func counted(n int, asked *int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			*asked++
			if !yield(i) {
				return
			}
		}
	}
}

func TestSeq(t *testing.T) {
	even := func(v int) bool { return v%2 == 0 }
	double := func(v int) string { return fmt.Sprint(2 * v) }
	var asked int
	for _, test := range []struct {
		name  string
		got   any
		want  string
		asked int
	}{
		{"Filter", slices.Collect(Filter(counted(6, &asked), even)), "[0 2 4]", 6},
		{"Map", slices.Collect(Map(counted(3, &asked), double)), "[0 2 4]", 9},
		{"Take", slices.Collect(Take(counted(9, &asked), 2)), "[0 1]", 11},
		{"Take all", slices.Collect(Take(counted(2, &asked), 5)), "[0 1]", 13},
		{"Take none", slices.Collect(Take(counted(2, &asked), 0)), "[]", 13},
		{"Take less than none", slices.Collect(Take(counted(2, &asked), -1)), "[]", 13},
		{"Batch", slices.Collect(Batch(counted(5, &asked), 2)), "[[0 1] [2 3] [4]]", 18},
		{"Batch even", slices.Collect(Batch(counted(4, &asked), 2)), "[[0 1] [2 3]]", 22},
		{"Batch of none", slices.Collect(Batch(counted(0, &asked), 2)), "[]", 22},
		{"Batch of zero", slices.Collect(Batch(counted(2, &asked), 0)), "[[0] [1]]", 24},
	} {
		if got := fmt.Sprint(test.got); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
	if asked != 24 {
		t.Errorf("asked for %d values, want 24: Take must not ask for one too many", asked)
	}
}

// Each can be left at any value, and asks for nothing after that.
func TestSeqLeave(t *testing.T) {
	all := func(int) bool { return true }
	same := func(v int) int { return v }
	for name, of := range map[string]func(iter.Seq[int]) iter.Seq[int]{
		"Filter": func(s iter.Seq[int]) iter.Seq[int] { return Filter(s, all) },
		"Map":    func(s iter.Seq[int]) iter.Seq[int] { return Map(s, same) },
		"Take":   func(s iter.Seq[int]) iter.Seq[int] { return Take(s, 5) },
		"Batch": func(s iter.Seq[int]) iter.Seq[int] {
			return Map(Batch(s, 1), func(b []int) int { return b[0] })
		},
	} {
		var asked int
		for v := range of(counted(10, &asked)) {
			if v == 2 {
				break
			}
		}
		if asked != 3 {
			t.Errorf("%s asked for %d values, want 3", name, asked)
		}
	}
}

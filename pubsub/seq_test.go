package pubsub

import (
	"errors"
	"fmt"
	"iter"
	"testing"
)

var errCounted = errors.New("failed")

// counted yields 0..n-1 and counts the elements that were asked for. It fails instead of yielding failAt.
func counted(n, failAt int, asked *int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			*asked++
			if i == failAt {
				yield(0, errCounted)
				return
			}
			if !yield(i, nil) {
				return
			}
		}
	}
}

// collect returns the values of a sequence; an error is "failed" behind them.
func collect[T any](seq iter.Seq2[T, error]) string {
	all := []any{}
	for v, err := range seq {
		if err != nil {
			all = append(all, err)
			continue
		}
		all = append(all, v)
	}
	return fmt.Sprint(all)
}

func TestSeq(t *testing.T) {
	even := func(v int) bool { return v%2 == 0 }
	double := func(v int) string { return fmt.Sprint(2 * v) }
	var asked int
	for _, test := range []struct {
		name  string
		got   string
		want  string
		asked int
	}{
		{"Filter", collect(Filter(counted(6, -1, &asked), even)), "[0 2 4]", 6},
		{"Filter fails", collect(Filter(counted(6, 3, &asked), even)), "[0 2 failed]", 10},
		{"Map", collect(Map(counted(3, -1, &asked), double)), "[0 2 4]", 13},
		{"Map fails", collect(Map(counted(3, 2, &asked), double)), "[0 2 failed]", 16},
		{"Take", collect(Take(counted(9, -1, &asked), 2)), "[0 1]", 18},
		{"Take fails", collect(Take(counted(9, 1, &asked), 2)), "[0 failed]", 20},
		{"Take leaves before the failure", collect(Take(counted(9, 2, &asked), 2)), "[0 1]", 22},
		{"Take all", collect(Take(counted(2, -1, &asked), 5)), "[0 1]", 24},
		{"Take none", collect(Take(counted(2, -1, &asked), 0)), "[]", 24},
		{"Take less than none", collect(Take(counted(2, -1, &asked), -1)), "[]", 24},
		{"Batch", collect(Batch(counted(5, -1, &asked), 2)), "[[0 1] [2 3] [4]]", 29},
		{"Batch fails", collect(Batch(counted(5, 3, &asked), 2)), "[[0 1] [2] failed]", 33},
		{"Batch fails when empty", collect(Batch(counted(5, 2, &asked), 2)), "[[0 1] failed]", 36},
		{"Batch even", collect(Batch(counted(4, -1, &asked), 2)), "[[0 1] [2 3]]", 40},
		{"Batch of none", collect(Batch(counted(0, -1, &asked), 2)), "[]", 40},
		{"Batch of zero", collect(Batch(counted(2, -1, &asked), 0)), "[[0] [1]]", 42},
	} {
		if test.got != test.want {
			t.Errorf("%s: %s, want %s", test.name, test.got, test.want)
		}
	}
	if asked != 42 {
		t.Errorf("asked for %d elements, want 42: Take must not ask for one too many", asked)
	}
}

// Each can be left at any element, and asks for nothing after that.
func TestSeqLeave(t *testing.T) {
	all := func(int) bool { return true }
	same := func(v int) int { return v }
	for name, of := range map[string]func(iter.Seq2[int, error]) iter.Seq2[int, error]{
		"Filter": func(s iter.Seq2[int, error]) iter.Seq2[int, error] { return Filter(s, all) },
		"Map":    func(s iter.Seq2[int, error]) iter.Seq2[int, error] { return Map(s, same) },
		"Take":   func(s iter.Seq2[int, error]) iter.Seq2[int, error] { return Take(s, 5) },
		"Batch": func(s iter.Seq2[int, error]) iter.Seq2[int, error] {
			return Map(Batch(s, 1), func(b []int) int { return b[0] })
		},
	} {
		var asked int
		for v := range of(counted(10, -1, &asked)) {
			if v == 2 {
				break
			}
		}
		if asked != 3 {
			t.Errorf("%s asked for %d values, want 3", name, asked)
		}
		for _, err := range of(counted(10, 2, &asked)) {
			if err != nil {
				break // must not be called again
			}
		}
	}
	for batch, err := range Batch(counted(3, 1, new(int)), 2) {
		if err != nil || len(batch) != 1 {
			t.Errorf("Batch: %v, %v", batch, err)
		}
		break // before the error
	}
}

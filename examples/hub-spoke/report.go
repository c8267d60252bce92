package main

import (
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"
)

// totals are the sums over all files.
type totals struct {
	files, unparsed int
	text            counts
	symbols         declarations
}

func (t *totals) add(r result) {
	t.files++
	t.unparsed += r.unparsed
	t.text.Words += r.text.Words
	t.text.Lines += r.text.Lines
	t.text.Bytes += r.text.Bytes
	t.symbols.Funcs += r.symbols.Funcs
	t.symbols.Methods += r.symbols.Methods
	t.symbols.Types += r.symbols.Types
	t.symbols.Vars += r.symbols.Vars
	t.symbols.Consts += r.symbols.Consts
	t.symbols.Imports += r.symbols.Imports
}

type namedTotal struct {
	name  string
	count int
}

func (t *totals) named() []namedTotal {
	return []namedTotal{
		{"files", t.files}, {"bytes", t.text.Bytes}, {"lines", t.text.Lines}, {"words", t.text.Words},
		{"imports", t.symbols.Imports}, {"types", t.symbols.Types}, {"funcs", t.symbols.Funcs},
		{"methods", t.symbols.Methods}, {"vars", t.symbols.Vars}, {"consts", t.symbols.Consts},
		{"not parsed", t.unparsed},
	}
}

// report prints who did what, and the totals beside those that were counted here.
// Beside a spoke stands what was done to it.
func report(out io.Writer, j *job, sys *system, took time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	say(w, "\nspoke\tfiles\tbytes\tshare\tcalls\t\n")
	var sum row
	for _, name := range slices.Sorted(maps.Keys(j.rows)) {
		r := j.rows[name]
		note := ""
		switch {
		case name == sys.killed:
			note = "  killed"
		case slices.Contains(sys.stray, name):
			note = "  was at " + sys.killed + ", came back at another hub"
		}
		say(w, "%s\t%d\t%d\t%.1f%%\t%d\t%s\n", name, r.files, r.bytes, share(r.bytes, j.theirs.text.Bytes), r.calls, note)
		sum.files, sum.bytes, sum.calls = sum.files+r.files, sum.bytes+r.bytes, sum.calls+r.calls
	}
	say(w, "total\t%d\t%d\t%.1f%%\t%d\t\n", sum.files, sum.bytes, share(sum.bytes, j.theirs.text.Bytes), sum.calls)
	say(w, "\ntotals\tby the spokes\tcounted here\t\n")
	ours := j.ours.named()
	for i, t := range j.theirs.named() {
		note := ""
		if t.count != ours[i].count {
			note = "  differs"
		}
		say(w, "%s\t%d\t%d\t%s\n", t.name, t.count, ours[i].count, note)
	}
	_ = w.Flush() // out is standard output; who reads it will see
	say(out, "\n%d files in %.1f s; %s was killed on the way, %d calls were repeated\n",
		j.done, took.Seconds(), sys.killed, j.repeated())
}

func share(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}

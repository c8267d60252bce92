// Command mutants changes the code in one place at a time, runs the tests, and lists the changes that no test
// noticed. Each of these is a missing test, or an equivalent: a change without an observable effect.
//
//	go run ./internal/mutants -n 150 -seed 1 transport pending
//
// The changes are: a statement dropped, a condition negated, an operator or a boundary moved, a number made one larger or
// smaller, a constant replaced by another one of its group, a result replaced by its zero value. Log lines, texts of errors and
// panics, methods such as String, and numbers returned beside false or an error are left alone. A change that does not compile does not count.
//
// A sample of all changes is tried, at most one for each line of code. The seed decides the sample and is printed. For each
// change the tests of its own package run first, then those of the packages that -with names, each until
// the first failure, slow tests last. Files are not touched: the compiler gets the change by -overlay.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

type options struct {
	n, workers int
	seed       string
	with       string
	skip       time.Duration
	verbose    bool
	list       bool
	dirs       []string
}

func main() {
	var o options
	flag.IntVar(&o.n, "n", 150, "how many changes to try, not counting those that do not compile")
	flag.StringVar(&o.seed, "seed", "", "the number that decides the sample; empty: one from the clock")
	flag.StringVar(&o.with, "with", "internal/peer,hub", "packages, separated by commas, whose tests run after a package's own, where they use it")
	flag.DurationVar(&o.skip, "skip", time.Minute, "leave out tests that take longer")
	flag.IntVar(&o.workers, "workers", runtime.NumCPU(), "how many changes to try concurrently")
	flag.BoolVar(&o.verbose, "v", false, "write each change and the test that noticed it to standard error")
	flag.BoolVar(&o.list, "list", false, "list the sample and run nothing")
	flag.Parse()
	o.dirs = flag.Args()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := o.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func (o *options) run(ctx context.Context) error {
	if len(o.dirs) == 0 || o.n < 1 || o.workers < 1 {
		return fmt.Errorf("name the directories of at least one package; -n and -workers are at least 1")
	}
	for i, dir := range o.dirs {
		o.dirs[i] = path.Clean(filepath.ToSlash(dir))
	}
	seed, err := o.number()
	if err != nil {
		return err
	}
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	code, err := openModule(root)
	if err != nil {
		return err
	}
	all, err := code.all(o.dirs)
	if err != nil {
		return err
	}
	order := sample(all, seed)
	fmt.Printf("mutants: seed %d, %d changes known on %d lines\n", seed, len(all), len(order))
	if o.list {
		for _, m := range order[:min(o.n, len(order))] {
			fmt.Println(m.describe(code.texts[m.file]))
		}
		return nil
	}
	temp, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	lab := &laboratory{module: code, temp: temp, skip: o.skip}
	if o.with != "" {
		lab.more = strings.Split(o.with, ",")
	}
	if err := lab.prepare(ctx, o.dirs); err != nil {
		return err
	}
	results, err := lab.judgeAll(ctx, order, o.n, o.workers, o.progress(code))
	o.summary(code, results)
	return err
}

func (o *options) number() (uint64, error) {
	if o.seed == "" {
		return uint64(time.Now().UnixNano()) % 1_000_000, nil
	}
	seed, err := strconv.ParseUint(o.seed, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("-seed %q is not a number", o.seed)
	}
	return seed, nil
}

// progress returns what is called with each result, one at a time.
func (o *options) progress(code *module) func(result) {
	count := 0
	return func(r result) {
		count++
		if o.verbose {
			fmt.Fprintf(os.Stderr, "%s: %s %s (%.1fs)\n", r.describe(code.texts[r.file]), r.verdict, r.by, r.took.Seconds())
		} else if count%10 == 0 {
			fmt.Fprintf(os.Stderr, "mutants: %d tried\n", count)
		}
	}
}

// summary lists the survivors by their place, and counts the rest.
func (o *options) summary(code *module, results []result) {
	count := map[verdict]int{}
	late := 0 // ended by the time limit, which on a busy machine no test would have done
	slices.SortFunc(results, func(a, b result) int {
		return cmp.Or(strings.Compare(a.file, b.file), a.line-b.line)
	})
	for _, r := range results {
		count[r.verdict]++
		if strings.Contains(r.by, tooLong) {
			late++
		}
		if r.verdict == survived {
			fmt.Println(r.describe(code.texts[r.file]))
		}
	}
	fmt.Printf("mutants: %d tried, %d killed (%d of them by the time limit), %d survived; %d did not compile\n",
		count[killed]+count[survived], count[killed], late, count[survived], count[doesNotBuild])
}

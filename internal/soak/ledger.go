package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"
)

// ledger counts how often each invariant was seen to hold.
type ledger struct {
	breaks chan string // the first broken one

	mu     sync.Mutex // guards the fields below
	names  []string   // in the order of their first count
	counts map[string]uint64
	notes  []string
	worst  map[string]time.Duration
}

func newLedger() *ledger {
	return &ledger{breaks: make(chan string, 1), counts: map[string]uint64{}, worst: map[string]time.Duration{}}
}

// held counts.
func (l *ledger) held(invariant string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.counts[invariant]; !known {
		l.names = append(l.names, invariant)
	}
	l.counts[invariant]++
}

// broken ends the program, with this as the reason unless there is one already.
// It does not return.
func (l *ledger) broken(invariant, format string, args ...any) {
	select {
	case l.breaks <- invariant + ": " + fmt.Sprintf(format, args...):
	default:
	}
	select {}
}

// failFast ends the program at the first broken invariant.
func (l *ledger) failFast() {
	why := <-l.breaks
	l.print(os.Stdout)
	fmt.Println("soak: BROKEN:", why)
	os.Exit(1)
}

func (l *ledger) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notes = append(l.notes, fmt.Sprintf(format, args...))
}

// took remembers the longest time that something has taken.
func (l *ledger) took(what string, since time.Time) {
	d := time.Since(since)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.worst[what] = max(l.worst[what], d)
}

func (l *ledger) print(w io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.names)
	for _, name := range l.names {
		_, _ = fmt.Fprintf(w, "  %-64s %d\n", name, l.counts[name])
	}
	for _, what := range slices.Sorted(maps.Keys(l.worst)) {
		_, _ = fmt.Fprintf(w, "  the slowest %s took %v\n", what, l.worst[what].Round(time.Millisecond))
	}
	for _, n := range l.notes {
		_, _ = fmt.Fprintln(w, "  "+n)
	}
}

// watchHeap looks every second until the context ends.
func (l *ledger) watchHeap(ctx context.Context, limit int) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	peak := uint64(0)
	for {
		select {
		case <-ctx.Done():
			l.note("peak heap %d MiB", peak>>20)
			return
		case <-tick.C:
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peak = max(peak, m.HeapAlloc)
		if m.HeapAlloc > uint64(limit)<<20 {
			l.broken("the heap is bounded", "%d MiB, at most %d", m.HeapAlloc>>20, limit)
		}
		l.held("the heap is bounded")
	}
}

// wantGoroutines waits until no more run than before.
func (l *ledger) wantGoroutines(ctx context.Context, before int) {
	const name = "no goroutine is left"
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for runtime.NumGoroutine() > before {
		select {
		case <-tick.C:
		case <-ctx.Done():
			stacks := make([]byte, 1<<20)
			l.broken(name, "%d run, %d did before\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
	l.held(name)
}

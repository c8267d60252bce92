package measure

import (
	"slices"
	"time"
)

// Latencies are how long calls took. Every one is kept, so that percentiles are exact; what holds them is made
// beforehand, so that noting one allocates nothing as long as there are no more than were expected.
type Latencies struct {
	took []time.Duration
}

// NewLatencies expects n of them.
func NewLatencies(n int) *Latencies { return &Latencies{took: make([]time.Duration, 0, n)} }

// Add notes one. It is not for concurrent use: each worker has its own.
func (l *Latencies) Add(d time.Duration) { l.took = append(l.took, d) }

// Count is how many were noted.
func (l *Latencies) Count() int { return len(l.took) }

// Merge puts several together and sorts them.
func Merge(all []*Latencies) Sorted {
	n := 0
	for _, l := range all {
		n += len(l.took)
	}
	merged := make(Sorted, 0, n)
	for _, l := range all {
		merged = append(merged, l.took...)
	}
	slices.Sort(merged)
	return merged
}

// Sorted are latencies in order.
type Sorted []time.Duration

// Percentile is the smallest latency that p percent of all do not exceed; 0 where there are none.
func (s Sorted) Percentile(p int) time.Duration {
	if len(s) == 0 {
		return 0
	}
	rank := (len(s)*p + 99) / 100 // rounded up
	return s[max(rank, 1)-1]
}

package redisbackplane

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// These are the times at which one end of a link sends ticks and ends for silence, in quarters of a second. The clock is
// the test's.
func TestPaceOfALink(t *testing.T) {
	// quarter is what happens before the wheel looks at the end.
	type quarter struct {
		busy             bool // a call of this side is in flight
		heard, theirBusy bool // a message came; the other side has a call in flight
		wrote            bool // frames were published
		late             bool // the process stood still before this look
	}
	for name, c := range map[string]struct {
		at    func(n int) quarter
		ticks []int
		lost  int // 0: never
	}{
		"idle":                {func(int) quarter { return quarter{} }, nil, 0},
		"busy, nothing heard": {func(int) quarter { return quarter{busy: true} }, []int{1, 5, 9}, 12},
		"busy, heard each second": {func(n int) quarter { return quarter{busy: true, heard: n%4 == 0} },
			[]int{1, 5, 9, 13, 17, 21, 25, 29, 33, 37}, 0},
		"busy, heard after 2.75 s": {func(n int) quarter { return quarter{busy: true, heard: n == 11} },
			[]int{1, 5, 9, 13, 17, 21}, 23},
		"busy later":                 {func(n int) quarter { return quarter{busy: n >= 20} }, []int{20, 24, 28}, 31},
		"busy later, written before": {func(n int) quarter { return quarter{busy: n >= 20, wrote: n == 20} }, []int{24, 28}, 32},
		"written long before":        {func(n int) quarter { return quarter{busy: n >= 20, wrote: n == 10} }, []int{20, 24, 28}, 31},
		"busy twice": {func(n int) quarter { return quarter{busy: n < 8 || n >= 20} },
			[]int{1, 5, 20, 24, 28}, 31},
		"the other side is busy": {func(n int) quarter { return quarter{heard: n == 4, theirBusy: n == 4} }, []int{4, 8}, 0},
		"the other side, and a message": {func(n int) quarter {
			return quarter{heard: n == 4 || n == 9, theirBusy: n == 4, wrote: n == 7}
		}, []int{4, 11}, 0},
		"stood still":       {func(n int) quarter { return quarter{busy: true, late: n == 11} }, []int{1, 5, 9, 13, 17, 21}, 23},
		"stood still, idle": {func(n int) quarter { return quarter{late: n == 11} }, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			s := &station{b: &Backplane{}, inbox: &inbox{suspect: make(chan struct{}, 1)}, ctx: context.Background()}
			s.b.log = zerolog.Nop()
			s.out = newSender(s)
			s.out.close() // what it sends is not sent
			e := newEnd(s, "far", 1, "life.1")
			busy := false
			e.Watch(func() bool { return busy })
			e.last = start
			var ticks []int
			lost := 0
			for n := 1; n <= 40 && lost == 0; n++ {
				now := start.Add(time.Duration(n) * 250 * time.Millisecond)
				q := c.at(n)
				busy = q.busy
				if q.heard {
					e.last = now
					e.pace.heard(now, q.theirBusy)
				}
				if q.wrote {
					e.pace.sent = now
				}
				before := e.pace.sent
				e.look(now, q.late)
				if e.pace.sent != before {
					ticks = append(ticks, n)
				}
				if e.err != nil {
					lost = n
				}
			}
			if !slices.Equal(ticks, c.ticks) || lost != c.lost {
				t.Errorf("ticks at %v, lost at %d; want %v and %d", ticks, lost, c.ticks, c.lost)
			}
			if doubted := len(s.inbox.suspect) == 1; doubted != (c.lost > 0) || s.b.counters.silences.Load() != uint64(min(1, c.lost)) {
				t.Errorf("its own subscription is doubted: %v, %d silences", doubted, s.b.counters.silences.Load())
			}
			e.Abort()
			e.look(start.Add(time.Hour), false)
			if e.pace.sent.After(start.Add(time.Minute)) {
				t.Error("a link that has ended sends a tick")
			}
		})
	}
}

package session

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/alkdev/hubspoke/internal/bubble"
)

// Events may be dropped since what was written is not acknowledged: then there may
// be nothing left to write, and the gap is told with the acknowledgement.
func TestGapIsToldWithTheAcknowledgement(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c := attached(t, Options{LimitBytes: 100, EventBytes: 100, Resumable: true})
		event := strings.Repeat("e", 90)
		n := 0
		for s.opts.Totals.EventsDropped.Load() == 0 {
			n++
			appendEvent(s, "a", frame(event))
			synctest.Wait()
		}
		if got := c.written(); len(got) != n-1 || got[len(got)-1] != event {
			t.Fatalf("%d written of %d", len(got), n)
		}
		if err := s.Ack(uint64(n - 1)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := c.written(); got[len(got)-1] != "gap a 1" {
			t.Errorf("the last is %q", got[len(got)-1])
		}
	})
}

package spoke

import (
	"math/rand/v2"
	"time"
)

// backoff computes the delays between dials: full jitter under a bound that doubles
// (protocol section 7). It is reset only after the spoke has been registered for a while or a resumed session has
// advanced, so that a spoke does not storm a hub that takes registrations and drops them.
type backoff struct {
	low, high time.Duration
	rounds    int // that have failed
}

func (b *backoff) reset() { b.rounds = 0 }

// next returns the next delay. Round reports that all URLs have been dialed since the bound was doubled; it then
// doubles for the delays that follow.
func (b *backoff) next(round bool) time.Duration {
	bound := b.high
	if b.low <= b.high>>b.rounds {
		bound = b.low << b.rounds
	}
	if round {
		b.rounds++
	}
	return rand.N(bound + 1)
}

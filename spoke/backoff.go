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
	tries     int
}

func (b *backoff) reset() { b.tries = 0 }

// next gives the next delay, no shorter than atLeast.
func (b *backoff) next(atLeast time.Duration) time.Duration {
	bound := b.high
	if b.low <= b.high>>b.tries {
		bound = b.low << b.tries
	}
	b.tries++
	return max(atLeast, rand.N(bound+1))
}

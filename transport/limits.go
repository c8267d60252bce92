package transport

import (
	"errors"
	"math"
	"time"
)

const (
	defaultMaxMessage   = 1 << 20
	defaultWriteTimeout = 30 * time.Second
	defaultLinger       = time.Second

	// limitSlack is what a message may be over the announced size before the
	// connection is closed (protocol section 2).
	limitSlack = 64 << 10

	// chunkBytes is how much goes into one write to the socket.
	chunkBytes = 64 << 10

	// maxControlBytes bounds control frames that wait for a writer that is
	// stuck.
	maxControlBytes = 64 << 10
)

// limits are the knobs that every kind of Conn has, defaults filled in.
type limits struct {
	maxMessage   int // in force: the announced size and the slack
	writeTimeout time.Duration
	linger       time.Duration
}

// untilQuiet returns how long a close that began at a time still has: no byte may flow for quiet, and
// it takes at most the write timeout, or the linger time if that is more.
func (l *limits) untilQuiet(quiet time.Duration, began time.Time, flowed ...time.Time) time.Duration {
	last := began
	for _, t := range flowed {
		if t.After(last) {
			last = t
		}
	}
	return min(time.Until(last.Add(quiet)), time.Until(began.Add(max(l.writeTimeout, l.linger))))
}

func newLimits(maxMessage int64, writeTimeout, linger time.Duration) (limits, error) {
	if maxMessage < 0 || maxMessage > math.MaxInt32 {
		return limits{}, errors.New("option MaxMessageBytes is not between 0 and 2 GiB")
	}
	if writeTimeout < 0 {
		return limits{}, errors.New("option WriteTimeout is negative")
	}
	if linger < 0 {
		return limits{}, errors.New("option Linger is negative")
	}
	if maxMessage == 0 {
		maxMessage = defaultMaxMessage
	}
	if writeTimeout == 0 {
		writeTimeout = defaultWriteTimeout
	}
	if linger == 0 {
		linger = defaultLinger
	}
	return limits{int(maxMessage) + limitSlack, writeTimeout, linger}, nil
}

package session

import (
	"errors"
	"time"
)

// stuckConnections is on how many connections one frame may be first in line.
const stuckConnections = 3

// ErrStuck reports that one frame was first in the queue on 3 connections that each lasted the heartbeat interval: it
// would never arrive, and nothing behind it.
var ErrStuck = errors.New("session: the same frame was first in the queue on 3 connections that each lasted the heartbeat interval")

// inLine counts the connections on which one frame was first in line.
type inLine struct {
	number uint64 // the frame; 0: none
	count  int
	since  time.Time     // when the current connection was attached
	lasted time.Duration // how long the last one was
}

// connection notes that a connection was attached, or lost.
func (k *inLine) connection(before, after bool) {
	switch {
	case after:
		k.since = time.Now()
	case before:
		k.lasted = time.Since(k.since)
	}
}

// next returns the state after a resumption where the other side has received this many of the frames that were numbered.
func (k inLine) next(received, numbered uint64, interval time.Duration) inLine {
	first := uint64(0)
	if received < numbered {
		first = received + 1
	}
	if first != k.number {
		k.number, k.count = first, 0
	}
	if first != 0 && k.lasted >= interval {
		k.count++
	}
	return k
}

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

// progress is what was known when the current connection was attached, or the last one if there is none, to judge
// whether anything arrives.
type progress struct {
	received uint64 // how many counted frames had arrived
	acked    uint64 // how many the other side had received
	again    bool   // frames after these had been sent before
	count    int    // the connections that lasted, and on which the frame after acked was first in line
	since    time.Time
	lasted   time.Duration // how long the last connection was attached
}

// attached notes the counts of a new connection.
func (p *progress) attached(received, acked, numbered uint64, interval time.Duration) {
	p.count = p.repeated(acked, numbered, interval)
	p.received, p.acked, p.again = received, acked, numbered > acked
	p.since = time.Now()
}

// detached notes that the connection was lost.
func (p *progress) detached() { p.lasted = time.Since(p.since) }

// repeated returns on how many connections the same frame was first in line, if the other side has received this many
// of the frames that were numbered.
func (p *progress) repeated(received, numbered uint64, interval time.Duration) int {
	n := p.count
	if received != p.acked || received == numbered {
		n = 0
	}
	if received < numbered && p.lasted >= interval {
		n++
	}
	return n
}

// Progressed reports whether the session has advanced on the connection that was attached last: a counted frame or the
// acknowledgement of one has arrived, and if frames had to be sent again, the first of them has been acknowledged. A frame
// that breaks every connection it is sent on thus makes no progress, whatever else arrives.
func (s *Session) Progressed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.progress
	return s.queue.acked > p.acked || !p.again && s.ReceivedCount() > p.received
}

package hub

import (
	"sync"
	"sync/atomic"
)

// leftovers counts, for each spoke id of an identity, the hub's own handlers that still run although the session
// which called them has ended. The next session of the same spoke counts them within Options.MaxInFlight. It
// holds a spoke from its first session until the last has ended and none of its handlers runs.
type leftovers struct {
	mu     sync.Mutex // guards the map, and the sessions of its values
	spokes map[spokeOf]*leftover
}

type spokeOf struct{ identityID, spokeID string }

type leftover struct {
	running  atomic.Int64
	sessions int // those that have not ended, or have handlers that run
}

// acquire returns the counter that the sessions of the spoke share; each calls release once.
func (l *leftovers) acquire(s spokeOf) *atomic.Int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.spokes[s]
	if o == nil {
		o = new(leftover)
		if l.spokes == nil {
			l.spokes = make(map[spokeOf]*leftover)
		}
		l.spokes[s] = o
	}
	o.sessions++
	return &o.running
}

func (l *leftovers) release(s spokeOf) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.spokes[s]
	if o.sessions--; o.sessions == 0 {
		delete(l.spokes, s)
	}
}

package hubtest

import (
	"sync"
	"time"
)

// gate is one direction of a wire: what comes to it passes in order, not before
// it is due, and not while the gate is shut.
type gate struct {
	mu      sync.Mutex // guards the fields below
	shut    bool
	delay   time.Duration
	changed chan struct{} // closed at the next change; nil while no call waits
}

func (g *gate) set(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
	if g.changed != nil {
		close(g.changed)
		g.changed = nil
	}
}

// pass waits until what was sent at the time may pass. It is false when gone is
// closed first.
func (g *gate) pass(sent time.Time, gone <-chan struct{}) bool {
	for {
		g.mu.Lock()
		wait := time.Until(sent.Add(g.delay))
		if !g.shut && wait <= 0 {
			g.mu.Unlock()
			return true
		}
		if g.changed == nil {
			g.changed = make(chan struct{})
		}
		shut, changed := g.shut, g.changed
		g.mu.Unlock()
		if !await(shut, wait, changed, gone) {
			return false
		}
	}
}

func await(shut bool, wait time.Duration, changed, gone <-chan struct{}) bool {
	var due <-chan time.Time
	if !shut {
		t := time.NewTimer(wait)
		defer t.Stop()
		due = t.C
	}
	select {
	case <-due:
	case <-changed:
	case <-gone:
		return false
	}
	return true
}

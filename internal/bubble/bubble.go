// Package bubble starts testing/synctest bubbles for this project's tests. It exists for the race
// detector: see Test.
package bubble

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
)

// Test is synctest.Test, on one processor while the race detector is on.
//
// All timers of a bubble share one state of the race detector. In Go 1.26 two goroutines of a bubble
// that receive from timers which are due use it at the same time, and it breaks: the test program
// dies with SIGSEGV inside the detector, some time later. One processor takes that away and hides
// no race, because the detector judges by order and not by chance. Decision 018 has the program
// that shows it; when it passes, this package can go.
//
// Tests may call it concurrently. It is refused where synctest.Test is.
func Test(t *testing.T, run func(*testing.T)) {
	t.Helper()
	if raceEnabled {
		alone.enter()
		defer alone.leave()
	}
	synctest.Test(t, run)
}

var alone processors

// processors holds the program at one processor while anybody is inside.
type processors struct {
	mu     sync.Mutex
	inside int
	before int
}

func (p *processors) enter() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inside == 0 {
		p.before = runtime.GOMAXPROCS(1)
	}
	p.inside++
}

func (p *processors) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inside--
	if p.inside == 0 {
		runtime.GOMAXPROCS(p.before)
	}
}

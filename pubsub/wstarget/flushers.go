package wstarget

import (
	"runtime"
	"sync"

	"github.com/alkdev/hubspoke/internal/session"
)

// flushers write events to the spokes: a few goroutines for all of them, which live while there is something to write. A
// goroutine for each spoke would cost more than the writing, and events that are published meanwhile are written together.
type flushers struct {
	wg sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	due     []*session.Session
	next    int // due[:next] are taken
	running int
}

// flushShare is how many sessions a flusher takes at a time.
const flushShare = 32

// add takes a session that has events to write. It never waits.
func (f *flushers) add(s *session.Session) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.due = append(f.due, s)
	if waiting := len(f.due) - f.next; f.running == 0 || waiting > f.running*flushShare && f.running < runtime.GOMAXPROCS(0) {
		f.running++
		f.wg.Go(f.run)
	}
}

func (f *flushers) run() {
	runtime.Gosched() // whoever publishes may publish more
	var share [flushShare]*session.Session
	for {
		n := f.take(share[:])
		if n == 0 {
			return
		}
		for i, s := range share[:n] {
			s.FlushReady()
			share[i] = nil
		}
	}
}

// take fills share with what waits. With 0 the flusher is no longer counted as running.
func (f *flushers) take(share []*session.Session) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := copy(share, f.due[f.next:])
	clear(f.due[f.next : f.next+n])
	f.next += n
	switch {
	case f.next == len(f.due):
		f.due, f.next = f.due[:0], 0
		if cap(f.due) > 1024 {
			f.due = nil
		}
	case f.next >= 1024 && f.next >= len(f.due)/2: // or it would grow for as long as there is always one that waits
		left := copy(f.due, f.due[f.next:])
		clear(f.due[left:])
		f.due, f.next = f.due[:left], 0
	}
	if n == 0 {
		f.running--
	}
	return n
}

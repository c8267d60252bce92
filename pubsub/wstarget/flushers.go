package wstarget

import (
	"runtime"
	"slices"
	"sync"

	"github.com/alkdev/hubspoke/internal/drainer"
	"github.com/alkdev/hubspoke/internal/session"
)

// flushers is the queue of the sessions that have events to write, each at most once. A few goroutines write for all of
// them. A goroutine for each would cost more than the writing, and events that are published meanwhile are written together.
type flushers = drainer.Queue[*session.Session]

func newFlushers() *flushers { return drainer.New(flusher{}, drainer.Options{Batch: flushAtMost}) }

const (
	// flushAtMost is how many sessions are written to in one round.
	flushAtMost = 8192
	// flushShare is how many sessions of a round are worth one more goroutine. With less, waking another thread costs more
	// than it gains.
	flushShare = 512
)

// flusher is the handler of the flushers.
type flusher struct{}

// Handle implements [drainer.Handler].
func (flusher) Handle(ready []*session.Session) {
	runtime.Gosched() // the publisher may publish more
	goroutines := min((len(ready)+flushShare-1)/flushShare, runtime.GOMAXPROCS(0))
	share := (len(ready) + goroutines - 1) / goroutines
	var others sync.WaitGroup
	for shared := range slices.Chunk(ready[share:], share) {
		others.Go(func() { flush(shared) })
	}
	flush(ready[:share])
	others.Wait()
}

func flush(ready []*session.Session) {
	for _, s := range ready {
		s.FlushReady()
	}
}

package process

import (
	"runtime"
	"runtime/debug"

	"github.com/alkdev/hubspoke/bench/measure"
)

// Stats are what a process has used since its start, and what it holds now.
type Stats struct {
	measure.Usage
	RSS        int64 // resident bytes
	HasRSS     bool
	Goroutines int
}

// readStats reads those of this process.
func readStats(collect bool) Stats {
	if collect {
		// What pools hold is let go of in the first collection and freed in the second.
		runtime.GC()
		runtime.GC()
		debug.FreeOSMemory()
	}
	s := Stats{Goroutines: runtime.NumGoroutine(), Usage: measure.Take()}
	s.RSS, s.HasRSS = measure.RSS()
	return s
}

package transport

import (
	"sync/atomic"
	"time"
)

// lifeSign remembers when something was received last. It can be touched and
// read concurrently; a monotonic distance in one word costs no lock.
type lifeSign struct {
	born time.Time
	last atomic.Int64 // nanoseconds after born
}

func (s *lifeSign) touch()          { s.last.Store(int64(time.Since(s.born))) }
func (s *lifeSign) time() time.Time { return s.born.Add(time.Duration(s.last.Load())) }

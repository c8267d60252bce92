package redisbackplane

import (
	"sync/atomic"
	"time"
)

// clock is Redis' clock in milliseconds, as far as it is known from the answers
// that told it; before the first it is this machine's.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() int64 { return time.Now().UnixMilli() + c.ahead.Load() }

// set is called with what an answer told, and when it was asked for. The answer may
// have been long on its way, so it says only between what the difference lies.
func (c *clock) set(redis int64, asked time.Time) {
	least, most := redis-time.Now().UnixMilli(), redis-asked.UnixMilli()
	c.ahead.Store(min(max(c.ahead.Load(), least), most)) // of two concurrent ones either will do
}

// Package quota counts what each identity has in use at the same time, up to a limit.
package quota

import "sync"

// Counts holds a count for each identity. The zero value is ready. All methods may be called concurrently.
type Counts struct {
	mu   sync.Mutex
	used map[string]int // guarded by mu; no zeros
}

// Acquire counts one more for the identity until Release. It returns false, with no effect, if the identity has
// reached the limit. A negative limit is none.
func (c *Counts) Acquire(identity string, limit int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if limit >= 0 && c.used[identity] >= limit {
		return false
	}
	if c.used == nil {
		c.used = make(map[string]int)
	}
	c.used[identity]++
	return true
}

// Release takes back one Acquire that returned true.
func (c *Counts) Release(identity string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.used[identity]--; c.used[identity] == 0 {
		delete(c.used, identity)
	}
}

package redistarget

import "sync"

// crew owns every goroutine of a target: start starts one, close joins them all.
// A goroutine that is inside code which is not ours (a listener, a callback,
// rueidis while it dials) is not waited for, since that code may be what calls
// Close; it ends when it comes back.
type crew struct {
	mu      sync.Mutex // guards the fields below
	changed sync.Cond  // signalled when the counts change; L is set by newCrew
	running int
	outside int // of those, how many are between enter and leave
	closed  bool
}

func newCrew() *crew {
	c := new(crew)
	c.changed.L = &c.mu
	return c
}

// start runs fn on a goroutine. After close it does nothing and reports false.
func (c *crew) start(fn func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.running++
	go func() {
		defer c.count(&c.running, -1)
		fn()
	}()
	return true
}

// enter is called before code that is not ours, on a goroutine that start has
// started, and leave after it.
func (c *crew) enter() { c.count(&c.outside, 1) }

func (c *crew) leave() { c.count(&c.outside, -1) }

func (c *crew) count(n *int, by int) {
	c.mu.Lock()
	*n += by
	closed := c.closed
	c.mu.Unlock()
	if closed {
		c.changed.Broadcast()
	}
}

// close lets nothing start any more and waits for all that runs.
func (c *crew) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for c.running > c.outside {
		c.changed.Wait()
	}
}

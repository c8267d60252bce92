package quota

import "testing"

func TestCounts(t *testing.T) {
	var c Counts
	acquire := func(identity string, limit int, want bool) {
		t.Helper()
		if got := c.Acquire(identity, limit); got != want {
			t.Errorf("Acquire(%q, %d): %v", identity, limit, got)
		}
	}
	acquire("a", 0, false)
	acquire("a", 2, true)
	acquire("a", 2, true)
	acquire("a", 2, false)
	acquire("b", 2, true)
	acquire("a", -1, true)
	c.Release("a")
	acquire("a", 2, false)
	c.Release("a")
	acquire("a", 2, true)
	c.Release("a")
	c.Release("a")
	c.Release("b")
	if len(c.used) != 0 {
		t.Errorf("%v remains", c.used)
	}
}

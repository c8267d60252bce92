package pending

// recent remembers unary requests that have their answer, the last few, so that
// a handler that goes on answering is told once to stop.
type recent struct {
	ids  []string
	next int // the oldest, once there are maxRecent
}

const maxRecent = 16

func (c *recent) put(id string) {
	if len(c.ids) < maxRecent {
		c.ids = append(c.ids, id)
		return
	}
	c.ids[c.next] = id
	c.next = (c.next + 1) % maxRecent
}

// take reports whether the request is among them, and forgets it.
func (c *recent) take(id []byte) bool {
	for i, r := range c.ids {
		if r == string(id) {
			c.ids[i] = ""
			return true
		}
	}
	return false
}

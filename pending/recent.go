package pending

import "bytes"

// recent remembers unary requests that have their answer, the last few, so that
// a handler that continues to answer is told once to stop. It has copies of the ids, which a caller may hold in one piece
// with much larger things.
type recent struct {
	ids  [][]byte
	next int // the oldest, once there are maxRecent
}

const maxRecent = 16

func (c *recent) put(id string) {
	if len(c.ids) < maxRecent {
		c.ids = append(c.ids, []byte(id))
		return
	}
	c.ids[c.next] = append(c.ids[c.next][:0], id...)
	c.next = (c.next + 1) % maxRecent
}

// take reports whether the request is among them, and forgets it.
func (c *recent) take(id []byte) bool {
	for i, r := range c.ids {
		if bytes.Equal(r, id) {
			c.ids[i] = r[:0]
			return true
		}
	}
	return false
}

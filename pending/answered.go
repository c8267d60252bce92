package pending

import "bytes"

// answered remembers unary requests that have their answer, the last few, so that
// a handler that continues to answer is told once to stop. It has copies of the ids, which a caller may hold in one piece
// with much larger things.
type answered struct {
	ids  [][]byte
	next int // the oldest, once there are maxAnswered
}

const maxAnswered = 16

func (c *answered) put(id string) {
	if len(c.ids) < maxAnswered {
		c.ids = append(c.ids, []byte(id))
		return
	}
	c.ids[c.next] = append(c.ids[c.next][:0], id...)
	c.next = (c.next + 1) % maxAnswered
}

// take reports whether the request is among them, and forgets it.
func (c *answered) take(id []byte) bool {
	for i, r := range c.ids {
		if bytes.Equal(r, id) {
			c.ids[i] = r[:0]
			return true
		}
	}
	return false
}

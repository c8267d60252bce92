package transport

// Metered is implemented by a [Conn] that counts the frames and bytes that arrive on the wire.
type Metered interface {
	// Meter sets a function that Read calls, on its goroutine, with the number of WebSocket frames that have begun
	// since the last call, control frames and fragments included, and the number of bytes. fn
	// may close the connection. Meter must not be called concurrently with Read.
	Meter(fn func(frames, bytes int))
}

// frameCounter finds the frames in a stream of bytes.
type frameCounter struct {
	payload uint64 // bytes left of the frame's payload, and of its mask
	head    int    // bytes of the header that have been seen
	size    uint64 // length so far
	wide    int    // bytes of length left
	masked  bool
}

// add returns how many frames begin in the bytes that come next.
func (c *frameCounter) add(p []byte) (frames int) {
	for len(p) > 0 {
		if c.payload > 0 {
			n := min(c.payload, uint64(len(p)))
			c.payload -= n
			p = p[n:]
			continue
		}
		b := p[0]
		p = p[1:]
		switch c.head {
		case 0:
			frames++
			c.head = 1
			continue
		case 1:
			c.head, c.masked, c.size, c.wide = 2, b&maskedBit != 0, uint64(b&^maskedBit), 0
			switch c.size {
			case 126:
				c.size, c.wide = 0, 2
			case 127:
				c.size, c.wide = 0, 8
			}
		default:
			c.size = c.size<<8 | uint64(b)
			c.wide--
		}
		if c.wide == 0 {
			c.payload, c.head = c.size, 0
			if c.masked {
				c.payload += 4
			}
		}
	}
	return frames
}

package transport

import "sync"

// bufferSizes are the capacities that are pooled; the largest holds a message
// of the default limit. What is larger is left to the garbage collector.
var bufferSizes = [...]int{512, 4 << 10, 16 << 10, chunkBytes, 256 << 10, defaultMaxMessage + limitSlack}

var bufferPools [len(bufferSizes)]sync.Pool

// borrow returns an empty buffer with room for at least n bytes. Its user may
// grow it, and hands it to giveBack when nothing points into it any more.
func borrow(n int) *[]byte {
	for i, size := range bufferSizes {
		if n > size {
			continue
		}
		if b, ok := bufferPools[i].Get().(*[]byte); ok {
			return b
		}
		b := make([]byte, 0, size)
		return &b
	}
	b := make([]byte, 0, n)
	return &b
}

// giveBack returns a buffer to its pool. nil does nothing.
func giveBack(b *[]byte) {
	if b == nil {
		return
	}
	for i, size := range bufferSizes {
		if cap(*b) == size {
			*b = (*b)[:0]
			bufferPools[i].Put(b)
			return
		}
	}
}

// enlarge returns a larger buffer with the content of b, which it gives back.
func enlarge(b *[]byte) *[]byte {
	wanted := 2 * cap(*b)
	if cap(*b) < bufferSizes[len(bufferSizes)-1] {
		wanted = cap(*b) + 1 // the next size
	}
	larger := borrow(wanted)
	*larger = append(*larger, *b...)
	giveBack(b)
	return larger
}

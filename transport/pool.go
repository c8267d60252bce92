package transport

import "sync"

// bufferSizes are the capacities that are pooled; the largest holds a message
// of the default limit. Larger buffers are left to the garbage collector.
var bufferSizes = [...]int{512, 4 << 10, 16 << 10, chunkBytes, 256 << 10, defaultMaxMessage + limitSlack}

var bufferPools [len(bufferSizes)]sync.Pool

// getBuffer returns an empty buffer with room for at least n bytes. The caller may
// grow it, and passes it to putBuffer when nothing points into it any more.
func getBuffer(n int) *[]byte {
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

// putBuffer returns a buffer to its pool. It ignores nil.
func putBuffer(b *[]byte) {
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

// largerThan returns the size of the buffer that follows one of n bytes.
func largerThan(n int) int {
	for _, size := range bufferSizes {
		if size > n {
			return size
		}
	}
	return 2 * n
}

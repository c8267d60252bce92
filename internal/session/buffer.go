package session

import "sync"

// Buffer is a frame on its way out; the package documentation says who owns it.
type Buffer struct {
	// B is the encoded frame.
	B      []byte
	shared bool
}

// classes are the largest capacities of the pooled buffers of each size. A queue may hold thousands of small frames: in
// buffers of any size they would keep many times the memory that is counted.
var classes = [...]int{1 << 10, 8 << 10, maxPooled}

const (
	// maxPooled is the largest capacity of a buffer that is used again.
	maxPooled = 64 << 10
	// membersBytes is about what a frame has besides its values.
	membersBytes = 256
)

var (
	buffers [len(classes)]sync.Pool
	// wrappers are the Buffers of shared frames.
	wrappers = sync.Pool{New: func() any { return &Buffer{shared: true} }}
)

// classOf returns the class of the buffers that have a capacity; len(classes) if they are not pooled.
func classOf(capacity int) int {
	i := 0
	for i < len(classes) && capacity > classes[i] {
		i++
	}
	return i
}

// NewBuffer returns an empty buffer to append a frame to, whose values have this many bytes.
func NewBuffer(values int) *Buffer {
	capacity := values + membersBytes
	if i := classOf(capacity); i < len(classes) {
		if b, ok := buffers[i].Get().(*Buffer); ok {
			return b
		}
	}
	return &Buffer{B: make([]byte, 0, capacity)}
}

// Shared wraps a frame that many sessions send, for one of them: the frame is never changed and never reused.
func Shared(frame []byte) *Buffer {
	b := wrappers.Get().(*Buffer)
	b.B = frame
	return b
}

// Free returns a buffer that was not appended to its pool. It does nothing to a nil buffer.
func (b *Buffer) Free() {
	if b == nil {
		return
	}
	if b.shared {
		b.B = nil
		wrappers.Put(b)
	} else if i := classOf(cap(b.B)); i < len(classes) {
		b.B = b.B[:0]
		buffers[i].Put(b)
	}
}

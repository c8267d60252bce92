package session

import "sync"

// Buffer is a frame on its way out; the package documentation says who owns it.
type Buffer struct {
	// B is the encoded frame.
	B      []byte
	shared bool
}

// maxPooled keeps a few huge frames from making every pooled buffer huge.
const maxPooled = 64 << 10

var (
	buffers = sync.Pool{New: func() any { return new(Buffer) }}
	// wrappers are the Buffers of shared frames.
	wrappers = sync.Pool{New: func() any { return &Buffer{shared: true} }}
)

// NewBuffer returns an empty buffer to append a frame to.
func NewBuffer() *Buffer { return buffers.Get().(*Buffer) }

// Shared wraps a frame that many sessions send, for one of them: the frame is never changed and never reused.
func Shared(frame []byte) *Buffer {
	b := wrappers.Get().(*Buffer)
	b.B = frame
	return b
}

// Free gives back a buffer that was not appended. It does nothing to a nil buffer.
func (b *Buffer) Free() {
	switch {
	case b == nil:
		return
	case b.shared:
		b.B = nil
		wrappers.Put(b)
		return
	case cap(b.B) > maxPooled:
		return
	}
	b.B = b.B[:0]
	buffers.Put(b)
}

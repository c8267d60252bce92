package session

import "testing"

// A small frame never keeps the memory of a large one: what the queue counts would be far below what it holds.
func TestBuffersFitTheirFrames(t *testing.T) {
	for range 100 {
		var all []*Buffer
		for _, size := range []int{100, 700, 1 << 10, 5000, 16 << 10, maxPooled, 10 * maxPooled} {
			b := NewBuffer(size)
			if len(b.B) != 0 || cap(b.B) > 1<<10 && cap(b.B) > 10*size {
				t.Fatalf("a buffer for %d bytes has %d of %d", size, len(b.B), cap(b.B))
			}
			b.B = append(b.B, make([]byte, size)...)
			all = append(all, b)
		}
		small := NewBuffer(0)
		small.B = append(small.B, make([]byte, 3*maxPooled)...) // larger than was announced
		for _, b := range append(all, small, nil) {
			b.Free()
		}
	}
}

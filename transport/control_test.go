package transport_test

import (
	"encoding/binary"
	"io"
	"testing"

	"github.com/alkdev/hubspoke/transport"
)

// A ping that comes while many frames are being written is answered between two
// of them, and a Close lets all of them out first.
func TestControlFramesBetweenData(t *testing.T) {
	const frames = 32
	s := newServer(t, false, &transport.AcceptOptions{Linger: 1 << 40})
	r, c := dialRaw(t, s)
	batch := make([][]byte, frames)
	for i := range batch {
		batch[i] = make([]byte, 1<<20)
	}
	done := make(chan error, 1)
	go func() { done <- c.Write(batch) }()
	r.skip(1) // Write has begun
	r.send(append(frame(0x89, "here?"), frame(0x81, "next")...))
	if _, err := c.Read(); err != nil { // so the ping has been seen too
		t.Fatal(err)
	}
	if kind := r.skip(frames - 1); kind != 0x8a {
		t.Fatalf("frame %x before the last data, want a pong", kind)
	}
	c.Close(transport.CloseNormal, "")
	for kind := r.skip(1); kind != 0x88; kind = r.skip(1) {
		if kind != 0x81 {
			t.Fatalf("frame %x", kind)
		}
	}
	if err := <-done; err != nil {
		t.Errorf("Write: %v", err)
	}
}

// skip reads over n data frames, or until another one, and returns the first
// byte of the last that it read.
func (r *raw) skip(n int) (kind byte) {
	r.t.Helper()
	for range n {
		head := make([]byte, 2, 10)
		length := 0
		if _, err := io.ReadFull(r.in, head); err != nil {
			r.t.Fatal(err)
		}
		switch length = int(head[1]); length {
		case 126, 127:
			long := head[2:][:2+6*(length-126)]
			if _, err := io.ReadFull(r.in, long); err != nil {
				r.t.Fatal(err)
			}
			var wide [8]byte
			copy(wide[8-len(long):], long)
			length = int(binary.BigEndian.Uint64(wide[:]))
		}
		if _, err := r.in.Discard(length); err != nil {
			r.t.Fatal(err)
		}
		if kind = head[0]; kind != 0x81 {
			break
		}
	}
	return kind
}

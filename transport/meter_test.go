package transport

import (
	"bytes"
	"testing"
)

// Frames are counted by where they begin, whatever their length and however their bytes are cut up.
func TestFrameCounter(t *testing.T) {
	var stream []byte
	lengths := []int{0, 1, 125, 126, 127, 65_535, 65_536, 0}
	for i, n := range lengths {
		stream = appendHeader(stream, opText, n, i%2 == 0, 0x01020304)
		stream = append(stream, bytes.Repeat([]byte{0x81}, n)...)
	}
	for _, step := range []int{1, 2, 3, 7, 16, 1000, len(stream)} {
		var c frameCounter
		frames := 0
		for rest := stream; len(rest) > 0; {
			n := min(step, len(rest))
			frames += c.add(rest[:n])
			rest = rest[n:]
		}
		if frames != len(lengths) || c.payload != 0 || c.head != 0 {
			t.Errorf("in steps of %d: %d frames, want %d", step, frames, len(lengths))
		}
	}
}

package transport_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/alkdev/hubspoke/transport"
)

// tally is a Meter that allows everything.
type tally struct{ frames, bytes int }

func (m *tally) Received(frames, bytes int) bool {
	m.frames, m.bytes = m.frames+frames, m.bytes+bytes
	return true
}

// Frames and bytes are counted, whatever the length of the frames and however their bytes are cut up: control frames,
// fragments, and frames that are discarded too.
func TestMeterCountsTheWire(t *testing.T) {
	var stream []byte
	frames := 0
	add := func(first byte, size int) {
		stream = append(stream, frame(first, strings.Repeat("x", size))...)
		frames++
	}
	for _, size := range []int{0, 1, 125, 126, 65_535, 65_536} {
		add(0x81, size)
		add(0x8a, size%126)
		add(0x01, size)
		add(0x89, 3)
		add(0x80, size)
	}
	add(0x81, 4)
	for _, step := range []int{3, 1000, len(stream)} {
		s := newServer(t, false, nil)
		r, conn := dialRaw(t, s)
		var m tally
		conn.SetMeter(&m)
		go func() {
			for rest := stream; len(rest) > 0; rest = rest[min(step, len(rest)):] {
				r.send(rest[:min(step, len(rest))])
			}
		}()
		for data := []byte(nil); !bytes.Equal(data, []byte("xxxx")); {
			var err error
			if data, err = conn.Read(); err != nil {
				t.Fatal(err)
			}
		}
		if m.frames != frames || m.bytes != len(stream) {
			t.Errorf("in steps of %d: %d frames and %d bytes, want %d and %d", step, m.frames, m.bytes, frames, len(stream))
		}
		conn.SetMeter(nil)
		conn.Close(transport.CloseNormal, "")
		r.send(frame(0x81, "discarded"))
		_ = r.Close()
		_, _ = conn.Read()
	}
}

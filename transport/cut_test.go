package transport_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/alkdev/hubspoke/transport"
)

// A connection that is cut inside a message, wherever that is, was lost: half a
// message is not handed out. Reads are of 512 bytes first, so the borders of those are of interest.
func TestCutInsideAMessage(t *testing.T) {
	s := newServer(t, false, nil)
	for _, arrived := range []int{0, 1, 511, 512, 513, 4 << 10, 16 << 10, 20_000 - 1} {
		t.Run(fmt.Sprint(arrived), func(t *testing.T) {
			r, conn := dialRaw(t, s)
			frame := []byte{0x81, 0x80 | 126, 0, 0, 0, 0, 0, 0} // masked with zeros
			binary.BigEndian.PutUint16(frame[2:], 20_000)
			r.send(append(frame, make([]byte, arrived)...))
			_ = r.Close()
			data, err := conn.Read()
			if !errors.Is(err, transport.ErrLost) {
				t.Errorf("%d bytes, %v", len(data), err)
			}
		})
	}
}

package transport

import (
	"encoding/binary"
	"math/bits"
)

// Opcodes of RFC 6455 section 5.2.
const (
	opText  = 0x1
	opClose = 0x8
	opPing  = 0x9
	opPong  = 0xa
)

const (
	finBit    = 0x80
	maskedBit = 0x80

	// maxHeaderBytes is the longest frame header: opcode, length, eight more
	// bytes of length, mask.
	maxHeaderBytes = 14
)

// appendHeader appends the header of an unfragmented WebSocket frame. A client's
// frames are masked (RFC 6455 section 5.3), and key is then the mask.
func appendHeader(dst []byte, opcode byte, length int, masked bool, key uint32) []byte {
	var mark byte
	if masked {
		mark = maskedBit
	}
	dst = append(dst, finBit|opcode)
	switch {
	case length < 126:
		dst = append(dst, mark|byte(length))
	case length <= 0xffff:
		dst = append(dst, mark|126, byte(length>>8), byte(length))
	default:
		dst = append(dst, mark|127)
		dst = binary.BigEndian.AppendUint64(dst, uint64(length))
	}
	if masked {
		dst = binary.LittleEndian.AppendUint32(dst, key)
	}
	return dst
}

// mask applies the key to b in place and returns the key for the byte after b.
func mask(b []byte, key uint32) uint32 {
	wide := uint64(key)<<32 | uint64(key)
	for len(b) >= 32 {
		c := b[:32:32]
		binary.LittleEndian.PutUint64(c, binary.LittleEndian.Uint64(c)^wide)
		binary.LittleEndian.PutUint64(c[8:], binary.LittleEndian.Uint64(c[8:])^wide)
		binary.LittleEndian.PutUint64(c[16:], binary.LittleEndian.Uint64(c[16:])^wide)
		binary.LittleEndian.PutUint64(c[24:], binary.LittleEndian.Uint64(c[24:])^wide)
		b = b[32:]
	}
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^wide)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= byte(key)
		key = bits.RotateLeft32(key, -8)
	}
	return key
}

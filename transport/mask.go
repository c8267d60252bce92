package transport

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
)

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

// keySource makes masking keys from strong randomness (RFC 6455 section 5.3), several at a time. A server
// has none.
type keySource struct {
	used  int // of bytes; at the end or at 0: none left
	bytes [64]byte
}

// next returns a key, and 0 if there is no source.
func (k *keySource) next() uint32 {
	if k == nil {
		return 0
	}
	at := k.used % len(k.bytes)
	if at == 0 {
		_, _ = rand.Read(k.bytes[:]) // never fails
	}
	k.used += 4
	return binary.LittleEndian.Uint32(k.bytes[at:])
}

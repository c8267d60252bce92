package transport

import "encoding/binary"

// Opcodes of RFC 6455 section 5.2.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa
)

const (
	finBit       = 0x80
	reservedBits = 0x70
	opcodeBits   = 0x0f
	maskedBit    = 0x80

	// maxHeaderBytes is the longest frame header: opcode, length, eight more
	// bytes of length, mask.
	maxHeaderBytes = 14

	// maxControlPayload is the longest payload of a close, ping or pong frame.
	maxControlPayload = 125
)

// header is the header of a frame.
type header struct {
	first  byte // the final bit, the reserved bits and the opcode
	masked bool
	key    uint32 // the masking key
	length uint64 // of the payload; the top bit is not allowed
}

func (h *header) opcode() byte { return h.first & opcodeBits }
func (h *header) final() bool  { return h.first&finBit != 0 }

func (h *header) negative() bool { return h.length>>63 != 0 }
func (h *header) control() bool  { return h.first&opClose != 0 }

// violation returns how a header breaks RFC 6455 for the end that receives it; empty if it does not. A data frame
// continues a message if there is one.
func (h *header) violation(client, inMessage bool) string {
	switch {
	case h.negative():
		return "frame with a negative length"
	case h.first&reservedBits != 0:
		return "frame with reserved bits"
	case h.masked == client:
		return "frame masked by the server, or not masked by the client"
	}
	switch h.opcode() {
	case opClose, opPing, opPong:
		if h.length > maxControlPayload || !h.final() {
			return "control frame that is fragmented or too long"
		}
	case opContinuation, opText, opBinary:
		if inMessage != (h.opcode() == opContinuation) {
			return "message that begins before another has ended, or continues none"
		}
	default:
		return "frame with an unknown opcode"
	}
	return ""
}

// parseHeader reads the header at the start of p and returns how many bytes it has; 0 if p does not
// contain all of it. A negative length ends a header. Lengths that could be encoded in fewer bytes are accepted.
func parseHeader(p []byte) (h header, n int) {
	if len(p) < 2 {
		return header{}, 0
	}
	h = header{first: p[0], masked: p[1]&maskedBit != 0, length: uint64(p[1] &^ maskedBit)}
	n = 2
	switch h.length {
	case 126:
		if n += 2; len(p) < n {
			return header{}, 0
		}
		h.length = uint64(binary.BigEndian.Uint16(p[2:]))
	case 127:
		if n += 8; len(p) < n {
			return header{}, 0
		}
		h.length = binary.BigEndian.Uint64(p[2:])
	}
	if h.masked && !h.negative() {
		if n += 4; len(p) < n {
			return header{}, 0
		}
		h.key = binary.LittleEndian.Uint32(p[n-4:])
	}
	return h, n
}

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

// appendFrame appends an unfragmented frame, masked if there are keys.
func appendFrame(dst []byte, opcode byte, payload []byte, keys *keySource) []byte {
	key := keys.next()
	dst = appendHeader(dst, opcode, len(payload), keys != nil, key)
	dst = append(dst, payload...)
	if keys != nil {
		mask(dst[len(dst)-len(payload):], key)
	}
	return dst
}

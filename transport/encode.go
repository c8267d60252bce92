package transport

import (
	"crypto/rand"
	"encoding/binary"
)

// encode writes each message as one unfragmented text frame, in chunks of
// chunkBytes. Control frames that come meanwhile are let in between two frames.
func (l *link) encode(messages [][]byte) (err error) {
	total := 0
	for _, m := range messages {
		total += len(m) + maxHeaderBytes
	}
	if total == 0 {
		return nil
	}
	buffer := borrow(min(total, chunkBytes))
	defer giveBack(buffer)
	out := (*buffer)[:0]
	wrote := false // a chunk, since control frames were last let in
	keys := keySource{masked: l.client}
	for _, m := range messages {
		if full := cap(out)-len(out) < maxHeaderBytes; full || wrote {
			if out, err = l.between(out, full); err != nil {
				return err
			}
			wrote = false
		}
		key := keys.next()
		out = appendHeader(out, opText, len(m), l.client, key)
		for len(m) > 0 {
			if len(out) == cap(out) {
				if err := l.writeChunk(out); err != nil {
					return err
				}
				out, wrote = out[:0], true
			}
			n := copy(out[len(out):cap(out)], m)
			out = out[:len(out)+n]
			if l.client {
				key = mask(out[len(out)-n:], key)
			}
			m = m[n:]
		}
	}
	return l.writeChunk(out)
}

// between writes the control frames that wait, and before them out, which ends
// with a whole frame; with full set it writes out in any case. It returns out, emptied if
// it was written.
func (l *link) between(out []byte, full bool) ([]byte, error) {
	l.mu.Lock()
	var waiting []byte
	if l.closing == nil { // a close frame comes after all the data
		waiting, l.control = l.control, nil
	}
	l.mu.Unlock()
	if !full && len(waiting) == 0 {
		return out, nil
	}
	if err := l.writeChunk(out); err != nil {
		return out, err
	}
	if len(waiting) == 0 {
		return out[:0], nil
	}
	return out[:0], l.writeChunk(waiting)
}

// keySource makes masking keys from strong randomness (RFC 6455 section 5.3),
// several at a time.
type keySource struct {
	masked bool
	used   int // of bytes; at the end or at 0: none left
	bytes  [64]byte
}

func (k *keySource) next() uint32 {
	if !k.masked {
		return 0
	}
	at := k.used % len(k.bytes)
	if at == 0 {
		_, _ = rand.Read(k.bytes[:]) // never fails
	}
	k.used += 4
	return binary.LittleEndian.Uint32(k.bytes[at:])
}

// controlFrame makes a control frame as this side sends it. The payload is at
// most 125 bytes.
func (l *link) controlFrame(opcode byte, payload []byte) []byte {
	var frame [maxHeaderBytes + 125]byte
	keys := keySource{masked: l.client}
	key := keys.next()
	out := appendHeader(frame[:0], opcode, len(payload), l.client, key)
	out = append(out, payload...)
	if l.client {
		mask(out[len(out)-len(payload):], key)
	}
	return out
}

// parseOwnClose reads back a close frame that the library on this side wrote.
// That is the answer to the other side's, with the same code, unless the code is
// CloseProtocolError, which the library sends by itself.
func parseOwnClose(frame []byte) *CloseError {
	payload := append([]byte(nil), frame[2:]...)
	if frame[1]&maskedBit != 0 {
		mask(payload[4:], binary.LittleEndian.Uint32(payload))
		payload = payload[4:]
	}
	if len(payload) < 2 {
		return &CloseError{Code: CloseNoStatus, Remote: true}
	}
	code := CloseCode(binary.BigEndian.Uint16(payload))
	return &CloseError{Code: code, Reason: validText(string(payload[2:])), Remote: code != CloseProtocolError}
}

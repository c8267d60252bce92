package process

import "strconv"

// digits is the width of the number in a payload. It is fixed so that all payloads of a run have one length.
const digits = 16

const (
	payloadHead = `{"seq":"`
	payloadMid  = `","pad":"`
	payloadTail = `"}`
)

// MinPayload is the length of the shortest payload.
const MinPayload = len(payloadHead) + digits + len(payloadMid) + len(payloadTail)

// Payload appends the JSON object that is message or call number seq, size bytes long or MinPayload, whichever is
// more. Both processes make it for themselves, so that a receiver knows each byte that has to come.
func Payload(dst []byte, seq uint64, size int) []byte {
	dst = append(dst, payloadHead...)
	var number [20]byte
	n := strconv.AppendUint(number[:0], seq, 10)
	for range digits - len(n) {
		dst = append(dst, '0')
	}
	dst = append(dst, n...)
	dst = append(dst, payloadMid...)
	for pad := size - MinPayload; pad > 0; {
		part := padding[:min(pad, len(padding))]
		dst = append(dst, part...)
		pad -= len(part)
	}
	return append(dst, payloadTail...)
}

const padding = "abcdefghijklmnopqrstuvwxyz-0123456789-ABCDEFGHIJKLMNOPQRSTUVWXYZ"

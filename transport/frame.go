package transport

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/alkdev/hubspoke/internal/jsonscan"
)

// Prefixes of Frame.Type that are not topics (protocol section 2).
const (
	PrefixControl = "__"
	PrefixCall    = "call."
	PrefixHub     = "hub."
)

// MaxTypeBytes is the longest Frame.Type, in bytes.
const MaxTypeBytes = 256

// ErrNotFrame says that a message is not a frame; it is wrapped with the
// reason. Who receives one closes with CloseInvalidFrame.
var ErrNotFrame = errors.New("not a frame")

// Frame is the unit on the wire: {"type": …, "payload": …} (protocol section 2).
type Frame struct {
	// Type says what the frame is; unless it has a reserved prefix it is a
	// topic.
	Type string
	// Payload is raw JSON; nil stands for null. ParseFrame makes it point into
	// the message that it was given.
	Payload []byte
	// Deep is set by ParseFrame where the payload may be nested deeper than ShallowDepth levels.
	Deep bool
}

// ShallowDepth is the nesting of a payload, in levels, up to which [ParseFrame] always leaves [Frame].Deep false.
const ShallowDepth = 64

// AppendFrame appends the frame to dst and returns the extended slice. The
// payload must be valid JSON, nil is written as null, and typ is quoted as
// needed; neither is checked against the rules for types. It keeps none of
// its arguments.
func AppendFrame(dst []byte, typ string, payload []byte) []byte {
	dst = append(dst, `{"type":`...)
	dst = jsonscan.AppendString(dst, typ)
	if payload == nil {
		return append(dst, `,"payload":null}`...)
	}
	dst = append(dst, `,"payload":`...)
	dst = append(dst, payload...)
	return append(dst, '}')
}

// ParseFrame reads one message. The message must be a UTF-8 JSON object with a
// "type" of 1 to MaxTypeBytes bytes without control characters; "type" or
// "payload" named twice and nesting over jsonscan.MaxDepth are refused, other members
// ignored. Any error wraps ErrNotFrame. The payload points into data and is fully
// validated; the type of a frame that this protocol defines is not allocated.
func ParseFrame(data []byte) (Frame, error) {
	if !jsonscan.UTF8(data) {
		return Frame{}, fmt.Errorf("%w: not UTF-8", ErrNotFrame)
	}
	if f, ok := parseOwnLayout(data); ok {
		return f, nil
	}
	return parseAnyLayout(data)
}

const (
	layoutHead = `{"type":"`
	layoutNext = `","payload":`
)

// parseOwnLayout reads a frame as AppendFrame writes it. It reports false for
// anything else, valid or not, for parseAnyLayout to decide.
func parseOwnLayout(data []byte) (Frame, bool) {
	if len(data) < len(layoutHead) || string(data[:len(layoutHead)]) != layoutHead {
		return Frame{}, false
	}
	start := len(layoutHead)
	end := start + max(bytes.IndexByte(data[start:], '"'), 0)
	payload := end + len(layoutNext)
	if payload > len(data) || string(data[end:payload]) != layoutNext {
		return Frame{}, false
	}
	typ := known(data[start:end])
	if typ == "" {
		// Behind a backslash the quote would not be the end.
		if bytes.IndexByte(data[start:end], '\\') >= 0 || !typeAllowed(data[start:end]) {
			return Frame{}, false
		}
		typ = string(data[start:end])
	}
	stop, err := jsonscan.Within(data, payload, ShallowDepth)
	deep := err != nil
	if deep {
		stop, err = jsonscan.Within(data, payload, jsonscan.MaxDepth-1)
	}
	if err != nil || stop != len(data)-1 || data[stop] != '}' || data[payload] <= ' ' {
		return Frame{}, false
	}
	return Frame{Type: typ, Payload: nullIsNil(data[payload:stop]), Deep: deep}, true
}

func parseAnyLayout(data []byte) (Frame, error) {
	var f Frame
	var haveType, havePayload bool
	o := jsonscan.Open(data)
	for o.Next() {
		switch string(o.Name()) {
		case "type":
			if haveType {
				return Frame{}, fmt.Errorf("%w: duplicate member \"type\"", ErrNotFrame)
			}
			haveType = true
			name, ok := jsonscan.String(o.Value())
			if !ok {
				return Frame{}, fmt.Errorf("%w: type is not a string", ErrNotFrame)
			}
			if !typeAllowed([]byte(name)) {
				return Frame{}, fmt.Errorf("%w: type is not 1 to %d bytes without control characters", ErrNotFrame, MaxTypeBytes)
			}
			f.Type = name
		case "payload":
			if havePayload {
				return Frame{}, fmt.Errorf("%w: duplicate member \"payload\"", ErrNotFrame)
			}
			havePayload = true
			f.Payload = nullIsNil(o.Value())
		}
	}
	if err := o.Err(); err != nil {
		return Frame{}, fmt.Errorf("%w: %w", ErrNotFrame, err)
	}
	if !haveType {
		return Frame{}, fmt.Errorf("%w: no type", ErrNotFrame)
	}
	f.Deep = jsonscan.Deeper(f.Payload, ShallowDepth)
	return f, nil
}

// typeAllowed checks length and control characters: those below space, DEL,
// and the C1 range.
func typeAllowed(name []byte) bool {
	if len(name) == 0 || len(name) > MaxTypeBytes {
		return false
	}
	for i, c := range name {
		if c < 0x20 || c == 0x7f {
			return false
		}
		// U+0080 to U+009F are the bytes C2 80 to C2 9F.
		if c == 0xc2 && i+1 < len(name) && name[i+1] < 0xa0 {
			return false
		}
	}
	return true
}

func nullIsNil(payload []byte) []byte {
	if jsonscan.IsNull(payload) {
		return nil
	}
	return payload
}

// known is string(name) without the allocation for the types that make up the
// traffic, else "": the compiler compares in place and returns the constant.
func known(name []byte) string {
	switch string(name) {
	case "call.requested":
		return "call.requested"
	case "call.responded":
		return "call.responded"
	case "call.completed":
		return "call.completed"
	case "call.error":
		return "call.error"
	case "call.aborted":
		return "call.aborted"
	case "call.credit":
		return "call.credit"
	case "__ack":
		return "__ack"
	case "__ping":
		return "__ping"
	case "__pong":
		return "__pong"
	case "__subscribe":
		return "__subscribe"
	case "__subscribed":
		return "__subscribed"
	case "__unsubscribe":
		return "__unsubscribe"
	case "__denied":
		return "__denied"
	case "__gap":
		return "__gap"
	case "__drain":
		return "__drain"
	}
	return ""
}

package wire

import "errors"

// Type is the type of a message.
type Type uint8

// The types of the protocol. Event is every type that is not reserved.
const (
	Event   Type = iota
	Unknown      // reserved, but not defined
	Requested
	Responded
	Completed
	Failed
	Aborted
	Credited
	Ack
	Ping
	Pong
	Drain
	Skip
	Subscribe
	Subscribed
	Unsubscribe
	Denied
	Gap
)

var typeNames = [...]string{
	Event:       "event",
	Unknown:     "unknown",
	Requested:   "call.requested",
	Responded:   "call.responded",
	Completed:   "call.completed",
	Failed:      "call.error",
	Aborted:     "call.aborted",
	Credited:    "call.credit",
	Ack:         "__ack",
	Ping:        "__ping",
	Pong:        "__pong",
	Drain:       "__drain",
	Skip:        "__skip",
	Subscribe:   "__subscribe",
	Subscribed:  "__subscribed",
	Unsubscribe: "__unsubscribe",
	Denied:      "__denied",
	Gap:         "__gap",
}

// String returns the type as it is on the wire; "event" and "unknown" for the two that have no text of
// their own.
func (t Type) String() string { return typeNames[t] }

// Counted reports whether messages of this type are counted and kept until they are acknowledged
// (protocol section 8). The others belong to one connection.
func (t Type) Counted() bool { return t != Ack && t != Ping && t != Pong && t != Drain }

// Answers reports whether messages of this type answer a request and can end it.
func (t Type) Answers() bool { return t == Responded || t == Completed || t == Failed }

// MaxTypeBytes is the longest type of a message, and so the longest topic, in bytes.
const MaxTypeBytes = 256

// HubPrefix begins the names of operations that are the hub's, and the topics of what hubs publish.
const HubPrefix = "hub."

// Reserved reports whether an event cannot have this topic, since it would be another message. The
// [HubPrefix] is reserved too, but for what hubs publish.
func Reserved[T string | []byte](topic T) bool {
	return len(topic) >= 2 && string(topic[:2]) == "__" || len(topic) >= 5 && string(topic[:5]) == "call."
}

// typeOf returns the type with this text.
func typeOf(text []byte) (Type, error) {
	switch string(text) {
	case "call.requested":
		return Requested, nil
	case "call.responded":
		return Responded, nil
	case "call.completed":
		return Completed, nil
	case "call.error":
		return Failed, nil
	case "call.aborted":
		return Aborted, nil
	case "call.credit":
		return Credited, nil
	case "__ack":
		return Ack, nil
	case "__ping":
		return Ping, nil
	case "__pong":
		return Pong, nil
	case "__drain":
		return Drain, nil
	case "__skip":
		return Skip, nil
	case "__subscribe":
		return Subscribe, nil
	case "__subscribed":
		return Subscribed, nil
	case "__unsubscribe":
		return Unsubscribe, nil
	case "__denied":
		return Denied, nil
	case "__gap":
		return Gap, nil
	}
	switch {
	case !typeAllowed(text):
		return 0, errType
	case Reserved(text):
		return Unknown, nil
	}
	return Event, nil
}

var errType = errors.New("type is not 1 to 256 bytes without control characters")

// typeAllowed checks the length and for control characters: those below space, DEL, and the C1 range.
func typeAllowed(text []byte) bool {
	if len(text) == 0 || len(text) > MaxTypeBytes {
		return false
	}
	for i, c := range text {
		// U+0080 to U+009F are the bytes C2 80 to C2 9F.
		if c < 0x20 || c == 0x7f || c == 0xc2 && i+1 < len(text) && text[i+1] < 0xa0 {
			return false
		}
	}
	return true
}

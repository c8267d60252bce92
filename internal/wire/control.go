package wire

import (
	"strconv"
	"strings"

	"github.com/alkdev/hubspoke/internal/jsonscan"
)

// AppendEvent appends an event. Payload is JSON; an empty one is null.
func AppendEvent(dst []byte, topic string, payload []byte) []byte {
	dst = jsonscan.AppendString(append(dst, `{"type":`...), topic)
	return append(appendValue(append(dst, `,"payload":`...), payload), '}')
}

// AppendBare appends a message of a type whose payload is null: Ping, Pong, Skip, or a spoke's Drain.
func AppendBare(dst []byte, t Type) []byte {
	return append(appendHead(dst, t), "null}"...)
}

// AppendAck appends an acknowledgement of the first n messages that are counted.
func AppendAck(dst []byte, n uint64) []byte {
	return append(strconv.AppendUint(append(dst, `{"type":"__ack","payload":{"received":`...), n, 10), "}}"...)
}

// AppendDrain appends the __drain of a hub.
func AppendDrain(dst []byte, retryAfterMillis int64) []byte {
	return append(strconv.AppendInt(append(dst, `{"type":"__drain","payload":{"retryAfter":`...), retryAfterMillis, 10), "}}"...)
}

// AppendTopic appends a Subscribe, Subscribed or Unsubscribe.
func AppendTopic(dst []byte, t Type, topic string) []byte {
	return append(jsonscan.AppendString(append(appendHead(dst, t), `{"topic":`...), topic), "}}"...)
}

// AppendGap appends a __gap; dropped is how many events are missing, 0 if that is unknown.
func AppendGap(dst []byte, topic string, dropped int) []byte {
	dst = jsonscan.AppendString(append(dst, `{"type":"__gap","payload":{"topic":`...), topic)
	return append(strconv.AppendInt(append(dst, `,"dropped":`...), int64(dropped), 10), "}}"...)
}

// The actions that a __denied refuses.
const (
	ActionPublish   = "publish"
	ActionSubscribe = "subscribe"
)

// AppendDenied appends a __denied. A topic that is too long to be one, and a message over 4 KiB, are
// cut.
func AppendDenied(dst []byte, action, topic, code, message string) []byte {
	const limit = 4 << 10
	if len(topic) > MaxTypeBytes {
		topic = strings.ToValidUTF8(topic[:MaxTypeBytes], "")
	}
	dst = jsonscan.AppendString(append(dst, `{"type":"__denied","payload":{"action":`...), action)
	dst = jsonscan.AppendString(append(dst, `,"topic":`...), topic)
	dst = jsonscan.AppendString(append(dst, `,"code":`...), code)
	dst = jsonscan.AppendString(append(dst, `,"message":`...), jsonscan.Cut(message, limit))
	return append(dst, "}}"...)
}

func appendHead(dst []byte, t Type) []byte {
	return append(append(append(dst, `{"type":"`...), t.String()...), `","payload":`...)
}

package wstarget

import (
	"strconv"

	"github.com/alkdev/hubspoke/internal/jsonscan"
)

// GapPayload is the payload of a __gap: dropped is how many events are missing,
// 0 if that is not known.
func GapPayload(topic string, dropped int) []byte {
	b := jsonscan.AppendString([]byte(`{"topic":`), topic)
	b = strconv.AppendInt(append(b, `,"dropped":`...), int64(dropped), 10)
	return append(b, '}')
}

func parseGap(payload []byte) (topic string, dropped int, err error) {
	var n int64
	err = jsonscan.Decode(payload,
		jsonscan.StringField("topic", &topic),
		jsonscan.IntField("dropped", &n))
	if err == nil && topic == "" {
		err = errNoTopic
	}
	return topic, int(min(max(n, 0), 1<<31-1)), err
}

package pubsub

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// MaxTopicBytes is the length in bytes of the longest topic.
const MaxTopicBytes = 256

// ValidTopic returns nil for a topic that can be used: 1 to [MaxTopicBytes]
// bytes of UTF-8 without control characters, in which no segment is exactly "*"
// or ">". Segments are what dots and colons separate. There are no wildcards: a
// subscription to "user.*" would receive nothing, so it is refused, and so is publishing to it. Otherwise its
// error wraps [ErrInvalidTopic] and names the reason.
func ValidTopic(topic string) error {
	switch {
	case topic == "":
		return fmt.Errorf("%w: it is empty", ErrInvalidTopic)
	case len(topic) > MaxTopicBytes:
		return fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrInvalidTopic, len(topic), MaxTopicBytes)
	}
	if hasWildcard(topic) {
		return fmt.Errorf("%w: %q: there are no wildcards, and no segment may be exactly * or >", ErrInvalidTopic, topic)
	}
	for i := 0; i < len(topic); i++ {
		switch c := topic[i]; {
		case c >= utf8.RuneSelf:
			return validRunes(topic)
		case c < ' ' || c == 0x7f:
			return fmt.Errorf("%w: %q has a control character", ErrInvalidTopic, topic)
		}
	}
	return nil
}

func hasWildcard(topic string) bool {
	for i := range len(topic) {
		if (topic[i] == '*' || topic[i] == '>') && separates(topic, i-1) && separates(topic, i+1) {
			return true
		}
	}
	return false
}

// separates reports whether a segment begins or ends at i.
func separates(topic string, i int) bool {
	return i < 0 || i == len(topic) || topic[i] == '.' || topic[i] == ':'
}

// validRunes checks a topic that is not all ASCII.
func validRunes(topic string) error {
	if !utf8.ValidString(topic) {
		return fmt.Errorf("%w: %q is not UTF-8", ErrInvalidTopic, topic)
	}
	for _, r := range topic {
		if unicode.IsControl(r) {
			return fmt.Errorf("%w: %q has a control character", ErrInvalidTopic, topic)
		}
	}
	return nil
}

package pubsubtest

import (
	"errors"
	"strings"
	"testing"

	"github.com/alkdev/hubspoke/pubsub"
)

// An invalid topic is refused by both methods, and fn is never called.
func testTopicInvalid(t *testing.T, e ends) {
	for _, topic := range []string{
		"",
		strings.Repeat("x", pubsub.MaxTopicBytes+1),
		"line\nbreak",
		"nul\x00",
		"del\x7f",
		"not UTF-8 \xff",
	} {
		if err := e.publisher.Dispatch(e.ctx, pubsub.Event{Topic: topic}); !errors.Is(err, pubsub.ErrInvalidTopic) {
			t.Errorf("Dispatch(%.20q): %v, want ErrInvalidTopic", topic, err)
		}
		fn := func(ev pubsub.Event) { t.Errorf("fn was called with %v", ev) }
		if _, err := e.subscriber.Listen(e.ctx, topic, fn); !errors.Is(err, pubsub.ErrInvalidTopic) {
			t.Errorf("Listen(%.20q): %v, want ErrInvalidTopic", topic, err)
		}
	}
}

// A topic is a name and nothing else: no character has a meaning. All are
// listened to at once, so that one taken for a pattern would hear the others.
func testTopicCharacters(t *testing.T, e ends) {
	base := e.topic("")
	topics := []string{
		base + "x", base + "x:", base + "x:y", base + "x:y:z", base + ":",
		base + "*", base + "?", base + "[x]", base + "x*", base + `\x`, base + ">",
		base + " ", base + "x ", base + `"`, base + "{x}", base + "x/y", base + "%78", base + "X",
		base + "grün", base + "gru\u0308n", base + "日本語:🎉", base + "\u2028",
		base + strings.Repeat("x", pubsub.MaxTopicBytes-len(base)),
	}
	recorders := make([]*Recorder, len(topics))
	for i, topic := range topics {
		recorders[i], _ = e.listen(t, topic)
	}
	for _, topic := range topics {
		e.dispatch(t, topic, `1`)
	}
	for i, topic := range topics {
		e.fence(t, recorders[i], topic)
		e.want(t, recorders[i], topic, `1`)
	}
}

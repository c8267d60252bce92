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
		"*", ">", "user.*", "user.>", "user.*.name", "*.name", "user:*",
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

// A payload that is not JSON in UTF-8, also deep inside, is refused, and fn is never called.
func testPayloadInvalid(t *testing.T, e ends) {
	topic := e.topic("bad")
	r, _ := e.listen(t, topic)
	for _, payload := range []string{"{", "1 2", "\"\xe9\"", `{"a":["` + "\xff" + `"]}`, strings.Repeat("[", 12_000) + strings.Repeat("]", 12_000)} {
		if err := e.publisher.Dispatch(e.ctx, pubsub.Event{Topic: topic, Payload: []byte(payload)}); err == nil {
			t.Errorf("Dispatch of the payload %.20q succeeded", payload)
		}
	}
	e.dispatch(t, topic, `1`)
	e.fence(t, r, topic)
	e.want(t, r, topic, `1`)
}

// A nil listener is refused: it would panic where nothing could recover.
func testNilListener(t *testing.T, e ends) {
	topic := e.topic("nil")
	if _, err := e.subscriber.Listen(e.ctx, topic, nil); !errors.Is(err, pubsub.ErrNoListener) {
		t.Errorf("Listen with nil: %v, want ErrNoListener", err)
	}
	e.dispatch(t, topic, `1`)
}

// A topic is a name and nothing else: no character has a meaning. All are
// listened to at once, so that one taken for a pattern would hear the others.
func testTopicCharacters(t *testing.T, e ends) {
	base := e.topic("")
	topics := []string{
		base + "x", base + "x:", base + "x:y", base + "x:y:z", base + ":",
		base + "**", base + "?", base + "[x]", base + "x*", base + `\x`, base + ">>", base + "*x", base + "x>",
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

package pubsubtest

import (
	"strings"
	"testing"

	"github.com/alkdev/hubspoke/pubsub"
)

// Nil and null are the same, and neither is nothing.
func testPayloadNull(t *testing.T, e ends) {
	topic := e.topic("null")
	recorder, _ := e.listen(t, topic)
	if err := e.publisher.Dispatch(e.ctx, pubsub.Event{Topic: topic}); err != nil {
		t.Fatalf("Dispatch with a nil payload: %v", err)
	}
	e.dispatch(t, topic, `null`)
	e.dispatch(t, topic, `1`)
	e.want(t, recorder, topic, `null`, `null`, `1`)
}

// Every kind of JSON value arrives as it was, numbers and strings to the last
// character.
func testPayloadValues(t *testing.T, e ends) {
	topic := e.topic("values")
	recorder, _ := e.listen(t, topic)
	payloads := []string{
		`true`, `false`, `0`, `-0`, `1.0`, `1e400`, `12345678901234567890123`,
		`""`, `"null"`, `"\u0000\n\""`, `"<&>"`, "\"\u2028 \u007f\"", `"\ud83c\udf89"`, `"🎉"`,
		`[]`, `{}`, `[[[[[]]]]]`, `{"b":1,"a":2}`, `{"a":1,"a":2}`,
		`{"topic":"x","type":"__gap","payload":{"dropped":1}}`,
	}
	for _, payload := range payloads {
		e.dispatch(t, topic, payload)
	}
	e.want(t, recorder, topic, payloads...)
}

// Payloads well under a message's limit arrive whole.
func testPayloadSizes(t *testing.T, e ends) {
	topic := e.topic("sizes")
	recorder, _ := e.listen(t, topic)
	var payloads []string
	for _, size := range []int{3_000, 32_768, 65_536, 125_000, 200_000} {
		payloads = append(payloads, `"`+strings.Repeat("x", size-3)+string(rune('a'+len(payloads)))+`"`)
		e.dispatch(t, topic, payloads[len(payloads)-1])
		// One at a time: together they may be over a target's budget.
		e.want(t, recorder, topic, payloads...)
	}
}

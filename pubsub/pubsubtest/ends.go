package pubsubtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/pubsub"
)

// longest is the safety time-out of one part of the suite.
const longest = time.Minute

// ends is what a part of the suite works with.
type ends struct {
	publisher  pubsub.EventTarget
	subscriber pubsub.EventTarget
	ctx        context.Context // ends when the part has taken far too long
	run        string          // makes topics unique
}

func newEnds(t *testing.T, publisher, subscriber pubsub.EventTarget) ends {
	limit := longest
	if deadline, ok := t.Deadline(); ok {
		limit = min(limit, time.Until(deadline)*9/10)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ends{publisher: publisher, subscriber: subscriber, ctx: ctx, run: rand.Text()[:8]}
}

// topic returns a name that no other run uses.
func (e ends) topic(name string) string { return "pubsubtest." + e.run + "." + name }

// listen records a topic at the subscriber. The listener is stopped with the
// test, or before by the function it returns.
func (e ends) listen(t *testing.T, topic string) (*Recorder, func()) {
	t.Helper()
	recorder := new(Recorder)
	stop := e.listenFunc(t, topic, recorder.Record)
	return recorder, stop
}

func (e ends) listenFunc(t *testing.T, topic string, fn func(pubsub.Event)) (stop func()) {
	t.Helper()
	stop, err := e.subscriber.Listen(e.ctx, topic, fn)
	if err != nil {
		t.Fatalf("Listen(%q): %v", topic, err)
	}
	if stop == nil {
		t.Fatalf("Listen(%q) returned a nil stop without an error", topic)
	}
	t.Cleanup(stop)
	return stop
}

// dispatch publishes one JSON value.
func (e ends) dispatch(t *testing.T, topic, payload string) {
	t.Helper()
	if err := e.publisher.Dispatch(e.ctx, pubsub.Event{Topic: topic, Payload: json.RawMessage(payload)}); err != nil {
		t.Fatalf("Dispatch(%q): %v", topic, err)
	}
}

// fence publishes an event and waits until recorder has it. What was dispatched
// before on the same topic has then arrived, or never will.
func (e ends) fence(t *testing.T, recorder *Recorder, topic string) {
	t.Helper()
	mark := `"fence ` + rand.Text() + `"`
	e.dispatch(t, topic, mark)
	_, err := recorder.waitFor(e.ctx, func(events []pubsub.Event) bool {
		return slices.ContainsFunc(events, func(ev pubsub.Event) bool { return text(ev) == mark })
	})
	if err != nil {
		t.Fatalf("waiting for the fence on %q: %v", topic, err)
	}
}

// want waits for as many events as payloads and compares them, fences aside.
func (e ends) want(t *testing.T, recorder *Recorder, topic string, payloads ...string) {
	t.Helper()
	events, err := recorder.waitFor(e.ctx, func(events []pubsub.Event) bool {
		return len(withoutFences(events)) >= len(payloads)
	})
	if err != nil {
		t.Fatalf("waiting for %d events on %q: %v, got %s", len(payloads), topic, err, brief(texts(events)))
	}
	for _, ev := range events {
		if ev.Gap {
			t.Fatalf("a gap of %d on %q; the suite goes too slowly for that", ev.Dropped, topic)
		}
		if ev.Topic != topic {
			t.Errorf("an event of %q at a listener of %q", ev.Topic, topic)
		}
	}
	if got := texts(withoutFences(events)); !slices.Equal(got, payloads) {
		t.Fatalf("events on %q:\n got %s\nwant %s", topic, brief(got), brief(payloads))
	}
}

func withoutFences(events []pubsub.Event) []pubsub.Event {
	return slices.DeleteFunc(slices.Clone(events), func(ev pubsub.Event) bool {
		return bytes.HasPrefix(ev.Payload, []byte(`"fence `))
	})
}

// text is the payload with the freedom that a target has taken out of it: nil
// for null, and white space between tokens.
func text(ev pubsub.Event) string {
	if ev.Payload == nil {
		return "null"
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, ev.Payload); err != nil {
		return fmt.Sprintf("not JSON: %q", ev.Payload)
	}
	return compact.String()
}

func texts(events []pubsub.Event) []string {
	all := make([]string, len(events))
	for i, ev := range events {
		all[i] = text(ev)
	}
	return all
}

// brief keeps failures readable with payloads of 200 kB.
func brief(payloads []string) string {
	const most = 60
	short := make([]string, len(payloads))
	for i, p := range payloads {
		short[i] = p[:min(most, len(p))]
	}
	return fmt.Sprintf("%d: %s", len(short), short)
}

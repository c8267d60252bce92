package pubsub

import (
	"encoding/json"
	"errors"
	"testing"
)

func TestTopicName(t *testing.T) {
	topic := NewTopic[int]("session.status")
	for id, want := range map[string]string{
		"":         "session.status",
		"proj_123": "session.status:proj_123",
		":":        "session.status::",
	} {
		if got := topic.Name(id); got != want {
			t.Errorf("Name(%q) = %q, want %q", id, got, want)
		}
	}
}

func TestTopicErrors(t *testing.T) {
	var local Local
	bad := NewTopic[int]("bad\x00")
	if err := bad.Publish(t.Context(), &local, "", 1); !errors.Is(err, ErrInvalidTopic) {
		t.Errorf("Publish: %v", err)
	}
	if _, err := bad.Subscribe(t.Context(), &local, ""); !errors.Is(err, ErrInvalidTopic) {
		t.Errorf("Subscribe: %v", err)
	}
	if err := numbers.Publish(t.Context(), &local, "\n", 1); !errors.Is(err, ErrInvalidTopic) {
		t.Errorf("Publish with a bad id: %v", err)
	}
	err := NewTopic[chan int]("x").Publish(t.Context(), &local, "", nil)
	if _, ok := errors.AsType[*json.UnsupportedTypeError](err); !ok {
		t.Errorf("Publish of a channel: %v", err)
	}
}

// Null becomes the zero value, and raw JSON stays what it was.
func TestTopicNullAndRaw(t *testing.T) {
	var local Local
	sub := subscribe(t.Context(), t, &local)
	raw := NewTopic[json.RawMessage]("numbers")
	rawSub, err := raw.Subscribe(t.Context(), &local, "")
	if err != nil {
		t.Fatal(err)
	}
	defer rawSub.Stop()
	if err := raw.Publish(t.Context(), &local, "", nil); err != nil {
		t.Fatal(err)
	}
	if err := local.Dispatch(t.Context(), Event{Topic: "numbers"}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if v, err := sub.Next(t.Context()); v != 0 || err != nil {
			t.Errorf("got %d, %v", v, err)
		}
		v, err := rawSub.Next(t.Context())
		if string(v) != "null" || err != nil {
			t.Errorf("got %q, %v", v, err)
		}
		v[0] = 'N' // the reader's own copy
	}
}

package badvalues

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/spoke"
)

// Events publishes bad payloads on one network and shows that the subscribers, on both, notice nothing; and a payload that is
// deeper than one of them takes, in place of which that one sees a gap of one.
func Events(t *testing.T, from, to *hubtest.Network) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	publisher := from.Spoke("publisher", nil, nil)
	plain := to.Spoke("plain", nil, nil)
	narrow := to.Spoke("narrow", &spoke.Options{MaxDepth: 3}, nil)
	type subscriber struct {
		name   string
		events chan pubsub.Event
	}
	var subscribers []subscriber
	for name, target := range map[string]pubsub.EventTarget{
		"plain": plain.Events(), "narrow": narrow.Events(), "publisher": publisher.Events(), "hub": to.Hub.Events(),
	} {
		s := subscriber{name, make(chan pubsub.Event, 100)}
		stop, err := target.Listen(ctx, "news.today", func(ev pubsub.Event) { s.events <- ev })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
		subscribers = append(subscribers, s)
	}
	type typed struct {
		Raw json.RawMessage `json:"raw"`
	}
	for who, target := range map[string]pubsub.EventTarget{
		"spoke": publisher.Events(), "hub": from.Hub.Events(), "identity": from.Hub.EventsAs(nil),
	} {
		bad := map[string]json.RawMessage{"Latin-1": Latin1, "no JSON": json.RawMessage(`{"a":`), "9,999 levels": Nested(9_999), "12,000 levels": Nested(12_000), "257 levels": Nested(257)}
		for what, payload := range bad {
			if err := target.Dispatch(ctx, pubsub.Event{Topic: "news.today", Payload: payload}); err == nil {
				t.Errorf("%s publishes %s: no error", who, what)
			}
		}
		err := pubsub.NewTopic[typed]("news.today").Publish(ctx, target, "", typed{Latin1})
		if err == nil || !strings.Contains(err.Error(), "not UTF-8 at byte") {
			t.Errorf("%s publishes a struct with Latin-1: %v", who, err)
		}
		for _, topic := range []string{"user.*", "user.>", "*", "a\nb", strings.Repeat("x", 257), "\xff"} {
			if err := target.Dispatch(ctx, pubsub.Event{Topic: topic}); err == nil {
				t.Errorf("%s publishes on %q: no error", who, topic)
			}
			if _, err := target.Listen(ctx, topic, func(pubsub.Event) {}); err == nil {
				t.Errorf("%s subscribes to %q: no error", who, topic)
			}
		}
		for _, payload := range []json.RawMessage{Nested(256), Nested(3), Nested(4), json.RawMessage(`"` + who + `"`)} {
			if err := target.Dispatch(ctx, pubsub.Event{Topic: "news.today", Payload: payload}); err != nil {
				t.Errorf("%s publishes %.10s: %v", who, payload, err)
			}
		}
		for _, s := range subscribers {
			want := []string{string(Nested(256)), string(Nested(3)), string(Nested(4)), `"` + who + `"`}
			if s.name == "narrow" {
				want[0], want[2] = "gap 1", "gap 1"
			}
			for _, w := range want {
				if got := next(ctx, s.events); got != w {
					t.Errorf("%s published, and %s got %.60q, want %.60q", who, s.name, got, w)
				}
			}
		}
	}
	for name, s := range map[string]*hubtest.Spoke{"publisher": publisher, "plain": plain, "narrow": narrow} {
		if n := s.Stats().Connections; n != 1 {
			t.Errorf("%s has connected %d times", name, n)
		}
	}
}

func next(ctx context.Context, events chan pubsub.Event) string {
	select {
	case ev := <-events:
		if ev.Gap {
			return fmt.Sprintf("gap %d", ev.Dropped)
		}
		return string(ev.Payload)
	case <-ctx.Done():
		return "nothing"
	}
}

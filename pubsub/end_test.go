package pubsub

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

var errEnd = errors.New("the right was withdrawn")

// note returns a listener that records payloads, gaps and the end.
func note(got *[]string) func(Event) {
	return func(ev Event) {
		switch {
		case ev.End != nil && (ev.Payload != nil || ev.Gap || ev.Topic != "t"):
			*got = append(*got, "an end with more")
		case ev.End != nil:
			*got = append(*got, ev.End.Error())
		case ev.Gap:
			*got = append(*got, "gap")
		default:
			*got = append(*got, string(ev.Payload))
		}
	}
}

// End ends the listeners that are there, and no others. Each is called once with the reason, unless it is stopped before.
func TestLocalEnd(t *testing.T) {
	var local Local
	var first, stopped, late, other []string
	listen := func(topic string, got *[]string) func() {
		stop, err := local.Listen(t.Context(), topic, note(got))
		if err != nil {
			t.Fatal(err)
		}
		return stop
	}
	stop := listen("t", &first)
	stopBefore := listen("t", &stopped)
	listen("u", &other)
	publish := func(payload string) {
		for _, topic := range []string{"t", "u"} {
			if err := local.Dispatch(t.Context(), Event{Topic: topic, Payload: []byte(payload), End: errEnd}); err != nil { // ignored
				t.Error(err)
			}
		}
	}
	publish("1")
	notify := local.End("t", errEnd)
	listen("t", &late)
	publish("2")
	if len(first) != 1 {
		t.Errorf("End itself has called the listener: %q", first)
	}
	stopBefore()
	notify()
	notify()
	stop()
	publish("3")
	for name, c := range map[string]struct{ got, want []string }{
		"first": {first, []string{"1", errEnd.Error()}}, "stopped": {stopped, []string{"1"}},
		"late": {late, []string{"2", "3"}}, "other": {other, []string{"1", "2", "3"}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s heard %q, want %q", name, c.got, c.want)
		}
	}
	local.End("nobody", errEnd)()
	local.Close()
	local.End("u", errEnd)()
	if len(other) != 3 {
		t.Errorf("heard after Close: %q", other)
	}
}

// A listener that is busy hears the end after what waits for it.
func TestLocalEndComesLast(t *testing.T) {
	var local Local
	var got []string
	inside := false
	record := note(&got)
	_, err := local.Listen(t.Context(), "t", func(ev Event) {
		record(ev)
		if inside {
			return
		}
		inside = true
		for _, payload := range []string{"2", "3"} {
			_ = local.Dispatch(t.Context(), Event{Topic: "t", Payload: []byte(payload)})
		}
		_ = local.Dispatch(t.Context(), Event{Topic: "t", Gap: true})
		local.End("t", errEnd)()
		_ = local.Dispatch(t.Context(), Event{Topic: "t", Payload: []byte("4")})
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = local.Dispatch(t.Context(), Event{Topic: "t", Payload: []byte("1")})
	if want := []string{"1", "2", "3", "gap", errEnd.Error()}; !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
}

// endingTarget ends each subscription, before or after Listen has returned.
type endingTarget struct {
	Local
	early bool
}

func (e *endingTarget) Listen(ctx context.Context, topic string, fn func(Event)) (func(), error) {
	stop, err := e.Local.Listen(ctx, topic, fn)
	_ = e.Dispatch(ctx, Event{Topic: topic, Payload: []byte("1")})
	if e.early {
		e.End(topic, errEnd)()
	}
	return stop, err
}

// A subscription that its target ends yields what is buffered, and then the reason.
func TestSubscriptionEndedByItsTarget(t *testing.T) {
	for _, early := range []bool{false, true} {
		target := &endingTarget{early: early}
		sub, err := NewTopic[int]("t").Subscribe(t.Context(), target, "")
		if err != nil {
			t.Fatal(err)
		}
		if !early {
			target.End("t", errEnd)()
		}
		if err := sub.Err(); !errors.Is(err, errEnd) || !strings.Contains(err.Error(), `"t"`) {
			t.Errorf("Err: %v", err)
		}
		var values []int
		var last error
		for v, err := range sub.All() {
			if last = err; err == nil {
				values = append(values, v)
			}
		}
		if _, err := sub.Next(t.Context()); !errors.Is(last, errEnd) || !errors.Is(err, errEnd) || !slices.Equal(values, []int{1}) {
			t.Errorf("All yields %v and %v, then Next returns %v", values, last, err)
		}
	}
}

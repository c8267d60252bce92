package wstarget

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/pubsub"
)

// sent is a Sender that writes down.
type sent struct {
	frames []string
	err    error
}

func (s *sent) Control(frame []byte) error {
	var f struct {
		Type    string
		Payload json.RawMessage
	}
	if err := json.Unmarshal(frame, &f); err != nil {
		panic(err)
	}
	return s.put(f.Type, string(f.Payload))
}

func (s *sent) Event(_ context.Context, topic string, payload []byte) error {
	return s.put(topic, string(payload))
}

func (s *sent) put(typ, payload string) error {
	if s.err != nil {
		return s.err
	}
	s.frames = append(s.frames, typ+" "+payload)
	return nil
}

// control is a control frame as it arrives.
func control(typ wire.Type, payload string) *wire.Message {
	return parsed([]byte(`{"type":"` + typ.String() + `","payload":` + payload + `}`))
}

func parsed(frame []byte) *wire.Message {
	var m wire.Message
	if err := wire.Parse(frame, &m); err != nil || m.Err != nil {
		panic(fmt.Sprint(err, m.Err))
	}
	return &m
}

func (s *sent) want(t *testing.T, frames ...string) {
	t.Helper()
	synctest.Wait()
	if len(s.frames) != len(frames) {
		t.Fatalf("sent %q, want %q", s.frames, frames)
	}
	for i := range frames {
		if s.frames[i] != frames[i] {
			t.Errorf("sent %q, want %q", s.frames[i], frames[i])
		}
	}
	s.frames = nil
}

const (
	topicA = `{"topic":"a"}`
	subA   = "__subscribe " + topicA
	unsubA = "__unsubscribe " + topicA
)

type listening struct {
	stop func()
	err  error
}

func listen(ctx context.Context, target *Target, topic string, fn func(pubsub.Event)) <-chan listening {
	c := make(chan listening, 1)
	go func() { stop, err := target.Listen(ctx, topic, fn); c <- listening{stop, err} }()
	return c
}

func TestListenWaitsForTheHub(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		out := &sent{}
		target := New(out)
		var heard []string
		fn := func(ev pubsub.Event) { heard = append(heard, string(ev.Payload)) }
		first, second := listen(t.Context(), target, "a", fn), listen(t.Context(), target, "a", fn)
		out.want(t, subA) // asked once
		if len(first)+len(second) != 0 {
			t.Fatal("live before the hub said so")
		}
		target.Control(control(wire.Subscribed, topicA))
		a, b := <-first, <-second
		payload := []byte("1")
		target.Event("a", payload)
		payload[0] = 'X' // it keeps a copy
		target.Event("other", payload)
		a.stop()
		a.stop()
		out.want(t)
		target.Event("a", nil)
		b.stop()
		out.want(t, unsubA)
		target.Event("a", []byte("after"))
		if len(heard) != 3 || heard[0] != "1" || heard[2] != "" {
			t.Errorf("heard %q", heard)
		}
		c := listen(t.Context(), target, "a", fn)
		out.want(t, subA) // anew
		target.Control(control(wire.Subscribed, topicA))
		if l := <-c; l.err != nil {
			t.Error(l.err)
		}
	})
}

// Who leaves before the answer lets it come; the next takes the same answer.
func TestLeaveBeforeTheAnswer(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		out := &sent{}
		target := New(out)
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errJoin)
		defer cancel()
		if _, err := target.Listen(ctx, "a", func(pubsub.Event) {}); !errors.Is(err, errJoin) {
			t.Errorf("Listen: %v", err)
		}
		out.want(t, subA) // and no unsubscription yet
		again := listen(t.Context(), target, "a", func(pubsub.Event) {})
		out.want(t)
		target.Control(control(wire.Subscribed, topicA))
		l := <-again
		l.stop()
		out.want(t, unsubA)

		ctx, cancel = context.WithCancel(t.Context())
		left := listen(ctx, target, "a", func(pubsub.Event) {})
		synctest.Wait()
		cancel()
		<-left
		out.want(t, subA)
		target.Control(control(wire.Subscribed, topicA)) // no listener wants it any more
		out.want(t, unsubA)
		target.Control(control(wire.Subscribed, topicA)) // what was not asked is ignored
		out.want(t)
	})
}

func TestDenied(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		out := &sent{}
		target := New(out)
		first := listen(t.Context(), target, "a", func(pubsub.Event) { t.Error("heard something") })
		synctest.Wait()
		target.Control(control(wire.Denied, `{"action":"publish","topic":"a","code":"X","message":"m"}`))
		synctest.Wait()
		if len(first) != 0 {
			t.Fatal("the refusal of a publish ended a subscription")
		}
		want := &Denial{ActionSubscribe, "a", "ACCESS_DENIED", `say "no"`}
		target.Control(parsed(want.frame()))
		l := <-first
		d, ok := errors.AsType[*Denial](l.err)
		if !ok || *d != *want || l.stop != nil {
			t.Errorf("Listen: %v", l.err)
		}
		target.Event("a", nil)
		out.want(t, subA)
		again := listen(t.Context(), target, "a", func(pubsub.Event) {})
		out.want(t, subA) // forgotten, so asked anew
		target.Control(control(wire.Subscribed, topicA))
		if l := <-again; l.err != nil {
			t.Error(l.err)
		}
	})
}

func TestTargetGap(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		out := &sent{}
		target := New(out)
		var got []pubsub.Event
		l := listen(t.Context(), target, "a", func(ev pubsub.Event) { got = append(got, ev) })
		synctest.Wait()
		target.Control(control(wire.Subscribed, topicA))
		<-l
		target.Control(control(wire.Gap, `{"topic":"a","dropped":7}`))
		target.Control(control(wire.Gap, `{"topic":"a","dropped":-9}`))
		target.Control(control(wire.Gap, `{"topic":"b","dropped":7}`))
		if len(got) != 2 || !got[0].Gap || got[0].Dropped != 7 || got[1].Dropped != 0 {
			t.Errorf("got %+v", got)
		}
	})
}

func TestDispatch(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		out := &sent{}
		target := New(out)
		ended, cancel := context.WithCancelCause(t.Context())
		cancel(errJoin)
		for _, c := range []struct {
			ctx  context.Context
			ev   pubsub.Event
			want error
			sent string
		}{
			{t.Context(), pubsub.Event{Topic: "a", Payload: []byte("1")}, nil, "a 1"},
			{t.Context(), pubsub.Event{Topic: "a"}, nil, "a "},
			{t.Context(), pubsub.Event{Topic: "a", Payload: []byte{}}, nil, "a "},
			{t.Context(), pubsub.Event{Topic: ""}, pubsub.ErrInvalidTopic, ""},
			{t.Context(), pubsub.Event{Topic: "__ack"}, pubsub.ErrInvalidTopic, ""},
			{t.Context(), pubsub.Event{Topic: "call.requested"}, pubsub.ErrInvalidTopic, ""},
			{t.Context(), pubsub.Event{Topic: "user.*"}, pubsub.ErrInvalidTopic, ""},
			{t.Context(), pubsub.Event{Topic: "a", Payload: []byte("{")}, pubsub.ErrInvalidPayload, ""},
			{t.Context(), pubsub.Event{Topic: "a", Payload: []byte("1}, {")}, pubsub.ErrInvalidPayload, ""},
			{t.Context(), pubsub.Event{Topic: "a", Payload: []byte("\"\xff\"")}, pubsub.ErrInvalidPayload, ""},
			{t.Context(), pubsub.Event{Topic: "a", Gap: true}, nil, ""},
			{ended, pubsub.Event{Topic: "a"}, errJoin, ""},
		} {
			if err := target.Dispatch(c.ctx, c.ev); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("%+v: %v, want %v", c.ev, err, c.want)
			}
			if c.sent == "" {
				out.want(t)
			} else {
				out.want(t, c.sent)
			}
		}
	})
}

func TestTargetClose(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		out := &sent{}
		target := New(out)
		closed := 0
		target.AfterClose(func() { closed++ })
		live := listen(t.Context(), target, "live", func(pubsub.Event) { t.Error("heard something") })
		synctest.Wait()
		target.Control(control(wire.Subscribed, `{"topic":"live"}`))
		l := <-live
		waiting := listen(t.Context(), target, "a", func(pubsub.Event) {})
		synctest.Wait()
		target.Close(errJoin)
		target.Close(errors.New("only the first counts"))
		if w := <-waiting; !errors.Is(w.err, errJoin) {
			t.Errorf("who waited got %v", w.err)
		}
		out.frames = nil
		target.Event("live", nil)
		target.Control(control(wire.Subscribed, topicA))
		l.stop()
		if err := target.Dispatch(t.Context(), pubsub.Event{Topic: "a"}); !errors.Is(err, errJoin) {
			t.Errorf("Dispatch: %v", err)
		}
		if _, err := target.Listen(t.Context(), "a", func(pubsub.Event) {}); !errors.Is(err, pubsub.ErrClosed) {
			t.Errorf("Listen: %v", err)
		}
		if out.want(t); closed != 1 {
			t.Errorf("AfterClose called %d times", closed)
		}
		New(out).Close(nil)
	})
}

func TestListenFails(t *testing.T) {
	out := &sent{err: errJoin}
	target := New(out)
	if _, err := target.Listen(t.Context(), "a", func(pubsub.Event) {}); !errors.Is(err, errJoin) {
		t.Errorf("Listen: %v", err)
	}
	if _, err := target.Listen(t.Context(), "a\x00", func(pubsub.Event) {}); !errors.Is(err, pubsub.ErrInvalidTopic) {
		t.Errorf("Listen: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := target.Listen(ctx, "a", func(pubsub.Event) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("Listen: %v", err)
	}
	if len(target.topics) != 0 {
		t.Error("a failed question is remembered")
	}
}

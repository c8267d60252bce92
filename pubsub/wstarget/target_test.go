package wstarget_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/pubsub/wstarget"
)

const (
	topicA      = ` {"topic":"a"}`
	subA        = "__subscribe" + topicA
	subscribedA = "__subscribed" + topicA
	unsubA      = "__unsubscribe" + topicA
	deniedA     = `__denied {"action":"subscribe","topic":"a","code":"ACCESS_DENIED","message":"say \"no\""}`
)

func TestListenWaitsForTheHub(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		target := &wstarget.Target{}
		_, hub := rawHub(t, target)
		var h heard
		first, second := listen(t.Context(), target, "a", &h), listen(t.Context(), target, "a", &h)
		hub.want(t, subA) // asked once
		waits(t, first)
		waits(t, second)
		hub.send(t, subscribedA)
		stop1, stop2 := live(t, first), live(t, second)
		h.want(t, "")
		hub.send(t, "a 1", "other 2")
		h.want(t, "1 1")
		stop1()
		stop1()
		hub.want(t)
		hub.send(t, "a null")
		h.want(t, "nil")
		stop2()
		hub.want(t, unsubA)
		hub.send(t, "a 3")
		h.want(t, "")
		third := listen(t.Context(), target, "a", &h)
		hub.want(t, subA)
		hub.send(t, subscribedA)
		live(t, third)
		h.want(t, "") // a new subscription has missed nothing
	})
}

// A payload is copied: the reader uses its buffer again.
func TestEventIsCopied(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		target := &wstarget.Target{}
		_, hub := rawHub(t, target)
		var got []pubsub.Event
		go func() { _, _ = target.Listen(t.Context(), "a", func(ev pubsub.Event) { got = append(got, ev) }) }()
		synctest.Wait()
		hub.send(t, subscribedA)
		payload := []byte("1")
		target.Event("a", payload)
		payload[0] = 'X'
		target.Event("a", nil)
		if len(got) != 2 || string(got[0].Payload) != "1" || got[0].Topic != "a" || got[1].Payload != nil {
			t.Errorf("heard %+v", got)
		}
	})
}

// A listener that stops before the hub has answered does not ask again: the next one takes the same answer.
func TestLeaveBeforeTheAnswer(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		target := &wstarget.Target{}
		_, hub := rawHub(t, target)
		var h heard
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errTest)
		defer cancel()
		if _, err := target.Listen(ctx, "a", h.note); !errors.Is(err, errTest) {
			t.Errorf("Listen: %v", err)
		}
		hub.want(t, subA) // and no __unsubscribe yet
		again := listen(t.Context(), target, "a", &h)
		hub.want(t)
		hub.send(t, subscribedA)
		stop := live(t, again)
		stop()
		hub.want(t, unsubA)

		ctx, cancel = context.WithCancel(t.Context())
		left := listen(ctx, target, "a", &h)
		cancel()
		if l := <-left; !errors.Is(l.err, context.Canceled) {
			t.Errorf("Listen: %v", l.err)
		}
		hub.want(t, subA)
		hub.send(t, subscribedA) // no listener wants it any more
		hub.want(t, unsubA)
		hub.send(t, subscribedA) // what was not asked is ignored
		hub.want(t)

		ctx, cancel = context.WithCancel(t.Context())
		left = listen(ctx, target, "a", &h)
		cancel()
		<-left
		hub.send(t, deniedA)
		hub.want(t, subA)
		next := listen(t.Context(), target, "a", &h)
		hub.want(t, subA) // the refusal was not its answer
		hub.send(t, subscribedA)
		live(t, next)
		h.want(t, "")
	})
}

func TestDenied(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		target := &wstarget.Target{}
		_, hub := rawHub(t, target)
		var h heard
		first := listen(t.Context(), target, "a", &h)
		hub.send(t, `__denied {"action":"publish","topic":"a","code":"X","message":"m"}`)
		waits(t, first)
		hub.send(t, deniedA)
		l := <-first
		if e, ok := errors.AsType[*call.Error](l.err); !ok || !errors.Is(e, call.CodeAccessDenied) || e.Message != `say "no"` || l.stop != nil {
			t.Errorf("Listen: %v", l.err)
		}
		hub.send(t, "a 1")
		hub.want(t, subA)
		again := listen(t.Context(), target, "a", &h)
		hub.want(t, subA) // forgotten, so asked again
		hub.send(t, subscribedA)
		live(t, again)
		h.want(t, "")
	})
}

// A refusal ends a subscription that was live: its listeners are called with it, once, after the events that came before.
// The next Listen asks again.
func TestDeniedWhileLive(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		target := &wstarget.Target{}
		_, hub := rawHub(t, target)
		var old, fresh heard
		first, second := listen(t.Context(), target, "a", &old), listen(t.Context(), target, "a", &old)
		hub.send(t, subscribedA)
		stop := live(t, first)
		live(t, second)
		hub.send(t, `__denied {"action":"publish","topic":"a","code":"X","message":"m"}`, `__denied {"action":"subscribe","topic":"b","code":"X","message":"m"}`)
		old.want(t, "")
		hub.send(t, "a 1", deniedA, deniedA, "a 2", `__gap {"topic":"a","dropped":1}`)
		const end = `end ACCESS_DENIED: say "no"`
		old.want(t, "1 1 "+end+" "+end)
		third := listen(t.Context(), target, "a", &fresh)
		hub.want(t, subA, subA)
		hub.send(t, subscribedA, "a 3")
		live(t, third)
		stop() // of a subscription that has ended
		hub.want(t)
		old.want(t, "")
		fresh.want(t, "3")
	})
}

// A listener may listen again while it is called with the end: that is a new subscription.
func TestListenInTheEnd(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		target := &wstarget.Target{}
		_, hub := rawHub(t, target)
		var h heard
		again := make(chan (<-chan listening), 1)
		first := make(chan listening, 1)
		go func() {
			stop, err := target.Listen(t.Context(), "a", func(ev pubsub.Event) {
				if ev.End != nil {
					next := make(chan listening, 1)
					go func() { stop, err := target.Listen(t.Context(), "a", h.note); next <- listening{stop, err} }()
					again <- next
				}
			})
			first <- listening{stop, err}
		}()
		synctest.Wait()
		hub.send(t, subscribedA)
		stop := live(t, first)
		hub.send(t, deniedA)
		second := <-again
		waits(t, second)
		stop()
		hub.want(t, subA, subA)
		hub.send(t, subscribedA, "a 1")
		live(t, second)
		h.want(t, "1")
	})
}

// Listeners outlive sessions. The next session subscribes again; they get one gap, before all that it brings.
func TestNextSession(t *testing.T) {
	for name, first := range map[string]string{
		"answer first": subscribedA,
		"event first":  "a 2", // the hub may send events before its answer
		"gap first":    `__gap {"topic":"a","dropped":3}`,
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				target := &wstarget.Target{}
				var h heard
				early := listen(t.Context(), target, "a", &h)
				waits(t, early)
				s, hub := rawHub(t, target)
				hub.want(t, subA)
				target.Attach(s.peer) // resumed: nothing is asked again
				hub.want(t)
				hub.send(t, subscribedA, "a 1")
				stop := live(t, early)
				h.want(t, "1")
				s.close()
				target.Event("a", []byte("9")) // of no session
				target.Denied("a", &call.Error{Code: call.CodeAccessDenied})
				between := live(t, listen(t.Context(), target, "a", &h)) // it has been live
				h.want(t, "")
				between()

				s, hub = rawHub(t, target)
				hub.want(t, subA)
				h.want(t, "") // the gap comes with what follows it
				hub.send(t, first)
				want := map[string]string{"answer first": "gap 0", "event first": "gap 0 2", "gap first": "gap 0 gap 3"}
				h.want(t, want[name])
				hub.send(t, subscribedA, "a 4")
				h.want(t, "4")
				late := live(t, listen(t.Context(), target, "a", &h))
				late()
				stop()
				hub.want(t, unsubA)
				s.close()
				_, hub = rawHub(t, target)
				hub.want(t) // there is no subscription left
			})
		})
	}
}

// A session that replaces another without Detach is the next one too; the end of the older one has no effect then.
func TestSessionReplacesAnother(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		target := &wstarget.Target{}
		var h heard
		first := listen(t.Context(), target, "a", &h)
		older, hub1 := rawHub(t, target)
		hub1.send(t, subscribedA)
		live(t, first)
		_, hub2 := rawHub(t, target)
		hub2.send(t, subscribedA)
		target.Detach(older.peer)
		hub2.send(t, "a 1")
		publish(t, target, "b", "2")
		h.want(t, "gap 0 1")
		hub1.want(t, subA)
		hub2.want(t, subA, "b 2")
	})
}

// The next session may refuse what the one before has taken: that ends the subscription, also for a listener that came
// while there was no session. Further sessions are not asked.
func TestNextSessionRefuses(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		target := &wstarget.Target{}
		var h, between heard
		s, hub := rawHub(t, target)
		first := listen(t.Context(), target, "a", &h)
		hub.send(t, subscribedA)
		live(t, first)
		s.close()
		live(t, listen(t.Context(), target, "a", &between))
		s, hub = rawHub(t, target)
		hub.want(t, subA)
		hub.send(t, deniedA)
		h.want(t, `end ACCESS_DENIED: say "no"`)
		between.want(t, `end ACCESS_DENIED: say "no"`)
		s.close()
		_, hub = rawHub(t, target)
		hub.want(t)
		listen(t.Context(), target, "a", &h)
		hub.want(t, subA)
		hub.send(t, deniedA)
		h.want(t, "") // it was Listen that failed
	})
}

// The last listener may stop while a further session is asked again. Its answer is then the answer to the next listener.
func TestLeaveWhileTheNextSessionIsAsked(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		target := &wstarget.Target{}
		var h heard
		s, hub := rawHub(t, target)
		first := listen(t.Context(), target, "a", &h)
		hub.send(t, subscribedA)
		stop := live(t, first)
		s.close()
		s, hub = rawHub(t, target)
		stop()
		hub.want(t, subA)
		second := listen(t.Context(), target, "a", &h)
		waits(t, second)
		hub.want(t)
		hub.send(t, subscribedA, "a 1")
		stop = live(t, second)
		h.want(t, "1") // it has missed nothing
		s.close()
		s, _ = rawHub(t, target)
		stop()
		s.close() // before the answer: the topic is forgotten
		_, hub = rawHub(t, target)
		hub.want(t)
	})
}

func TestTargetGap(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		target := &wstarget.Target{}
		_, hub := rawHub(t, target)
		var h heard
		l := listen(t.Context(), target, "a", &h)
		hub.send(t, subscribedA, `__gap {"topic":"a","dropped":7}`, `__gap {"topic":"a","dropped":0}`, `__gap {"topic":"b","dropped":7}`)
		live(t, l)
		h.want(t, "gap 7 gap 0")
	})
}

func TestDispatch(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		target := &wstarget.Target{}
		s, hub := rawHub(t, target)
		s.peer.SetRemote(40, 0)
		s.peer.SetMaxDepth(2)
		ended, cancel := context.WithCancelCause(t.Context())
		cancel(errTest)
		for _, c := range []struct {
			ctx  context.Context
			ev   pubsub.Event
			want error
			sent string
		}{
			{t.Context(), pubsub.Event{Topic: "a", Payload: []byte("1")}, nil, "a 1"},
			{t.Context(), pubsub.Event{Topic: "a"}, nil, "a null"},
			{t.Context(), pubsub.Event{Topic: "a", Payload: []byte{}}, nil, "a null"},
			{t.Context(), pubsub.Event{Topic: ""}, pubsub.ErrInvalidTopic, ""},
			{t.Context(), pubsub.Event{Topic: "__ack"}, pubsub.ErrInvalidTopic, ""},
			{t.Context(), pubsub.Event{Topic: "call.requested"}, pubsub.ErrInvalidTopic, ""},
			{t.Context(), pubsub.Event{Topic: "user.*"}, pubsub.ErrInvalidTopic, ""},
			{t.Context(), pubsub.Event{Topic: "a", Payload: []byte("{")}, pubsub.ErrInvalidPayload, ""},
			{t.Context(), pubsub.Event{Topic: "a", Payload: []byte("1}, {")}, pubsub.ErrInvalidPayload, ""},
			{t.Context(), pubsub.Event{Topic: "a", Payload: []byte("\"\xff\"")}, pubsub.ErrInvalidPayload, ""},
			{t.Context(), pubsub.Event{Topic: "a", Gap: true}, nil, ""},
			{t.Context(), pubsub.Event{Topic: "a", Payload: []byte(`[[1]]`)}, nil, "a [[1]]"},
			{t.Context(), pubsub.Event{Topic: "a", Payload: []byte(`[[[]]]`)}, call.CodeValidation, ""},
			{t.Context(), pubsub.Event{Topic: "a", Payload: json.RawMessage(`"` + strings.Repeat("x", 15) + `"`)}, nil, `a "xxxxxxxxxxxxxxx"`},
			{t.Context(), pubsub.Event{Topic: "a", Payload: json.RawMessage(`"` + strings.Repeat("x", 16) + `"`)}, call.CodeMessageTooLarge, ""},
			{ended, pubsub.Event{Topic: "a"}, errTest, ""},
			{ended, pubsub.Event{Topic: "a", Gap: true}, errTest, ""},
		} {
			if err := target.Dispatch(c.ctx, c.ev); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("%+v: %v, want %v", c.ev, err, c.want)
			}
			if c.sent == "" {
				hub.want(t)
			} else {
				hub.want(t, c.sent)
			}
		}
	})
}

// Dispatch waits for a session, and for the next one if the session ends before it has taken the event.
func TestDispatchWaitsForASession(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		target := &wstarget.Target{}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errTest)
		defer cancel()
		if err := target.Dispatch(ctx, pubsub.Event{Topic: "a"}); !errors.Is(err, errTest) {
			t.Errorf("Dispatch without a session: %v", err)
		}
		dispatched := make(chan error, 2)
		for n := range 2 {
			go func() {
				dispatched <- target.Dispatch(t.Context(), pubsub.Event{Topic: "a", Payload: fmt.Append(nil, n)})
			}()
			synctest.Wait()
		}
		s, hub := rawHub(t, target)
		synctest.Wait()
		if len(dispatched) != 2 || <-dispatched != nil || <-dispatched != nil {
			t.Error("not dispatched")
		}
		hub.mu.Lock()
		if len(hub.frames) != 2 {
			t.Errorf("received %q", hub.frames)
		}
		hub.mu.Unlock()

		s.peer.End(errTest) // and is still attached
		go func() { dispatched <- target.Dispatch(t.Context(), pubsub.Event{Topic: "b", Payload: []byte("1")}) }()
		synctest.Wait()
		target.Detach(s.peer)
		synctest.Wait()
		if len(dispatched) != 0 {
			t.Errorf("Dispatch returned %v", <-dispatched)
		}
		_, hub = rawHub(t, target)
		hub.want(t, "b 1")
		if err := <-dispatched; err != nil {
			t.Errorf("Dispatch: %v", err)
		}
	})
}

// An event that waits for room in a session that ends goes to the next session.
func TestDispatchWhileTheSessionEnds(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		target := &wstarget.Target{}
		s, stuck := stuckHub(t, target)
		payload := json.RawMessage(`"` + strings.Repeat("x", 1000) + `"`)
		var err error
		for n := 0; err == nil; n++ { // until the queue is full
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errTest)
			err = target.Dispatch(ctx, pubsub.Event{Topic: "a", Payload: payload})
			cancel()
		}
		if !errors.Is(err, errTest) {
			t.Errorf("Dispatch to a full queue: %v", err)
		}
		dispatched := make(chan error, 1)
		go func() { dispatched <- target.Dispatch(t.Context(), pubsub.Event{Topic: "b", Payload: payload}) }()
		synctest.Wait()
		stuck.Abort()
		s.close()
		_, hub := rawHub(t, target)
		hub.want(t, "b "+string(payload))
		if err := <-dispatched; err != nil {
			t.Errorf("Dispatch: %v", err)
		}
	})
}

func TestTargetClose(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		target := &wstarget.Target{}
		closed := 0
		target.AfterClose(func() { closed++ })
		taken := target.AfterClose(func() { t.Error("called, though it was taken back") })
		if !taken() {
			t.Error("taking it back failed")
		}
		s, hub := rawHub(t, target)
		var h heard
		first := listen(t.Context(), target, "live", &h)
		hub.send(t, `__subscribed {"topic":"live"}`)
		stop := live(t, first)
		waiting := listen(t.Context(), target, "a", &h)
		target.Detach(s.peer)
		dispatching := make(chan error, 1)
		go func() { dispatching <- target.Dispatch(t.Context(), pubsub.Event{Topic: "a"}) }()
		synctest.Wait()
		target.Close(errTest)
		target.Close(errors.New("only the first counts"))
		if l := <-waiting; !errors.Is(l.err, errTest) {
			t.Errorf("the Listen that waited: %v", l.err)
		}
		if err := <-dispatching; !errors.Is(err, errTest) {
			t.Errorf("the Dispatch that waited: %v", err)
		}
		hub.want(t, `__subscribe {"topic":"live"}`, subA)
		target.Attach(s.peer)
		hub.send(t, "live 1", subscribedA)
		stop()
		for _, ev := range []pubsub.Event{{Topic: "a"}, {Topic: "a", Gap: true}} {
			if err := target.Dispatch(t.Context(), ev); !errors.Is(err, errTest) {
				t.Errorf("Dispatch: %v", err)
			}
		}
		if _, err := target.Listen(t.Context(), "a", h.note); !errors.Is(err, pubsub.ErrClosed) {
			t.Errorf("Listen: %v", err)
		}
		hub.want(t)
		h.want(t, "")
		if closed != 1 {
			t.Errorf("AfterClose called %d times", closed)
		}
		var unused wstarget.Target
		unused.Close(nil)
		if err := unused.Dispatch(t.Context(), pubsub.Event{Topic: "a"}); !errors.Is(err, pubsub.ErrClosed) {
			t.Errorf("Dispatch after Close(nil): %v", err)
		}
	})
}

func TestListenFails(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		target := &wstarget.Target{}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		var h heard
		for _, c := range []struct {
			ctx   context.Context
			topic string
			fn    func(pubsub.Event)
			want  error
		}{
			{t.Context(), "a\x00", h.note, pubsub.ErrInvalidTopic},
			{t.Context(), "__ack", h.note, pubsub.ErrInvalidTopic},
			{t.Context(), "a", nil, pubsub.ErrNoListener},
			{ended, "a", h.note, context.Canceled},
		} {
			if _, err := target.Listen(c.ctx, c.topic, c.fn); !errors.Is(err, c.want) {
				t.Errorf("Listen to %q: %v, want %v", c.topic, err, c.want)
			}
		}
		// A session that has ended takes no question: the next one does.
		s, _ := rawHub(t, target)
		s.peer.End(errTest)
		l := listen(t.Context(), target, "a", &h)
		waits(t, l)
		_, hub := rawHub(t, target)
		hub.want(t, subA) // nothing else is remembered
		hub.send(t, subscribedA)
		live(t, l)
		h.want(t, "")
	})
}

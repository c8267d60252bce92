package pubsubtest

import (
	"context"
	"fmt"
	"testing"

	"github.com/alkdev/hubspoke/pubsub"
)

// The subscription is live when Listen returns.
func testListenIsLive(t *testing.T, e ends) {
	for i := range 50 {
		topic := e.topic(fmt.Sprintf("live.%d", i))
		recorder, stop := e.listen(t, topic)
		e.dispatch(t, topic, `1`) // once only, and at once
		e.want(t, recorder, topic, `1`)
		stop()
	}
}

// Two calls of Listen make two subscriptions, and each is stopped by itself.
func testListenTwice(t *testing.T, e ends) {
	topic := e.topic("twice")
	first, stopFirst := e.listen(t, topic)
	second, _ := e.listen(t, topic)
	e.dispatch(t, topic, `1`)
	e.want(t, first, topic, `1`)
	e.want(t, second, topic, `1`)
	stopFirst()
	e.dispatch(t, topic, `2`)
	e.fence(t, second, topic)
	e.want(t, first, topic, `1`)
	e.want(t, second, topic, `1`, `2`)
}

// A topic can be listened to again after stop, and the new listener gets what is
// dispatched from then on, also when the stop has only just been called.
func testListenAgain(t *testing.T, e ends) {
	topic := e.topic("again")
	for i := range 20 {
		recorder, stop := e.listen(t, topic)
		e.dispatch(t, topic, fmt.Sprint(i))
		e.want(t, recorder, topic, fmt.Sprint(i))
		stop()
	}
}

// When the context of Listen ends later, the subscription stays.
func testContextEndsAfterListen(t *testing.T, e ends) {
	topic := e.topic("after")
	recorder := new(Recorder)
	ctx, cancel := context.WithCancel(e.ctx)
	stop, err := e.subscriber.Listen(ctx, topic, recorder.Record)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	cancel()
	for i := range 3 {
		e.dispatch(t, topic, fmt.Sprint(i))
	}
	e.want(t, recorder, topic, "0", "1", "2")
}

// With a context that has ended before, nothing is published and nothing heard.
func testContextEndedBefore(t *testing.T, e ends) {
	topic := e.topic("before")
	ended, cancel := context.WithCancel(e.ctx)
	cancel()
	never := new(Recorder)
	if _, err := e.subscriber.Listen(ended, topic, never.Record); err == nil {
		t.Error("Listen with an ended context returned no error")
	}
	recorder, _ := e.listen(t, topic)
	if err := e.publisher.Dispatch(ended, pubsub.Event{Topic: topic, Payload: []byte(`1`)}); err == nil {
		t.Error("Dispatch with an ended context returned no error")
	}
	e.fence(t, recorder, topic)
	e.want(t, recorder, topic)
	if events := never.Events(); len(events) > 0 {
		t.Errorf("fn of a Listen that failed was called with %q", texts(events))
	}
}

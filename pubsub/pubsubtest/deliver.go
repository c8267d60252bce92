package pubsubtest

import (
	"fmt"
	"testing"

	"github.com/alkdev/hubspoke/pubsub"
)

// What is dispatched arrives at the listeners of its topic and at no others.
func testDeliver(t *testing.T, e ends) {
	here, there := e.topic("here"), e.topic("there")
	atHere, _ := e.listen(t, here)
	atThere, _ := e.listen(t, there)
	e.dispatch(t, here, `{"n":1}`)
	e.dispatch(t, there, `{"n":2}`)
	e.dispatch(t, here, `{"n":3}`)
	e.fence(t, atHere, here)
	e.fence(t, atThere, there)
	e.want(t, atHere, here, `{"n":1}`, `{"n":3}`)
	e.want(t, atThere, there, `{"n":2}`)
}

// A topic that nobody listens to is no error, and keeps nothing for later.
func testNobodyListens(t *testing.T, e ends) {
	topic := e.topic("nobody")
	// Fenced on another topic first, so that a slow target is past it.
	other := e.topic("other")
	atOther, _ := e.listen(t, other)
	e.dispatch(t, topic, `"lost"`)
	e.fence(t, atOther, other)
	recorder, _ := e.listen(t, topic)
	e.fence(t, recorder, topic)
	e.want(t, recorder, topic)
}

// A publisher's own listeners hear its events too.
func testOwnEvents(t *testing.T, e ends) {
	topic := e.topic("own")
	own := ends{publisher: e.publisher, subscriber: e.publisher, ctx: e.ctx, run: e.run}
	atPublisher, _ := own.listen(t, topic)
	atSubscriber, _ := e.listen(t, topic)
	e.dispatch(t, topic, `1`)
	e.fence(t, atPublisher, topic)
	e.fence(t, atSubscriber, topic)
	e.want(t, atPublisher, topic, `1`)
	e.want(t, atSubscriber, topic, `1`)
}

// Many topics at once do not mix.
func testManyTopics(t *testing.T, e ends) {
	const topics = 100
	recorders := make([]*Recorder, topics)
	name := func(i int) string { return e.topic(fmt.Sprintf("many:%d", i)) }
	for i := range topics {
		recorders[i], _ = e.listen(t, name(i))
	}
	for i := range topics {
		e.dispatch(t, name(i), fmt.Sprint(i))
	}
	for i, recorder := range recorders {
		e.want(t, recorder, name(i), fmt.Sprint(i))
	}
}

// fn may dispatch, on its own topic and on others, without a deadlock.
func testDispatchInFn(t *testing.T, e ends) {
	topic, other := e.topic("echo"), e.topic("echo.other")
	atOther, _ := e.listen(t, other)
	recorder := new(Recorder)
	failed := make(chan error, 2)
	e.listenFunc(t, topic, func(ev pubsub.Event) {
		recorder.Record(ev)
		if text(ev) != `"first"` {
			return
		}
		// At the subscriber's end, since fn is one of its listeners.
		failed <- e.subscriber.Dispatch(e.ctx, pubsub.Event{Topic: topic, Payload: []byte(`"second"`)})
		failed <- e.subscriber.Dispatch(e.ctx, pubsub.Event{Topic: other, Payload: []byte(`"third"`)})
	})
	e.dispatch(t, topic, `"first"`)
	e.want(t, recorder, topic, `"first"`, `"second"`)
	e.want(t, atOther, other, `"third"`)
	for range cap(failed) {
		if err := <-failed; err != nil {
			t.Errorf("Dispatch in fn: %v", err)
		}
	}
}

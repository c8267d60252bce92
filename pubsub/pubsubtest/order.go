package pubsubtest

import (
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/alkdev/hubspoke/pubsub"
)

// The events of one publisher arrive in its order.
func testOrderOnePublisher(t *testing.T, e ends) {
	const events = 500
	topic := e.topic("order")
	recorder, _ := e.listen(t, topic)
	payloads := make([]string, events)
	for i := range events {
		payloads[i] = fmt.Sprint(i)
		e.dispatch(t, topic, payloads[i])
	}
	e.want(t, recorder, topic, payloads...)
}

// With many publishers fn is still called for one event at a time, each
// publisher's events are in order, and none is missing.
func testOrderManyPublishers(t *testing.T, e ends) {
	const publishers, each, listeners = 6, 100, 3
	topic := e.topic("order.many")
	var overlaps atomic.Int32
	recorders := make([]*Recorder, listeners)
	for i := range recorders {
		recorder, busy := new(Recorder), new(atomic.Bool)
		recorders[i] = recorder
		e.listenFunc(t, topic, func(ev pubsub.Event) {
			if !busy.CompareAndSwap(false, true) {
				overlaps.Add(1)
			}
			recorder.Record(ev)
			busy.Store(false)
		})
	}
	var publishing sync.WaitGroup
	for p := range publishers {
		publishing.Go(func() {
			for n := range each {
				payload := fmt.Appendf(nil, "[%d,%d]", p, n)
				if err := e.publisher.Dispatch(e.ctx, pubsub.Event{Topic: topic, Payload: payload}); err != nil {
					t.Errorf("Dispatch: %v", err)
					return
				}
			}
		})
	}
	publishing.Wait()
	for _, recorder := range recorders {
		events, err := recorder.Wait(e.ctx, publishers*each)
		if err != nil {
			t.Fatalf("got %d of %d events: %v", len(events), publishers*each, err)
		}
		checkOrder(t, events, publishers)
	}
	if n := overlaps.Load(); n > 0 {
		t.Errorf("fn was called %d times while another call was under way", n)
	}
}

// checkOrder checks that the events [publisher, number] count up per publisher.
func checkOrder(t *testing.T, events []pubsub.Event, publishers int) {
	t.Helper()
	next := make([]int, publishers)
	for i, ev := range events {
		var from [2]int
		if err := json.Unmarshal(ev.Payload, &from); err != nil {
			t.Fatalf("event %d: %v in %q", i, err, ev.Payload)
		}
		if publisher, n := from[0], from[1]; n != next[publisher] {
			t.Fatalf("event %d: number %d of publisher %d where %d was due", i, n, publisher, next[publisher])
		}
		next[from[0]]++
	}
}

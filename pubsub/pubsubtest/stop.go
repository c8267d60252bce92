package pubsubtest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/alkdev/hubspoke/pubsub"
)

// stop may be called any number of times, at the same time too.
func testStopTwice(t *testing.T, e ends) {
	topic := e.topic("stop.twice")
	stopped, stop := e.listen(t, topic)
	other, _ := e.listen(t, topic)
	var stopping sync.WaitGroup
	for range 4 {
		stopping.Go(stop)
	}
	stopping.Wait()
	stop()
	e.dispatch(t, topic, `1`)
	e.fence(t, other, topic)
	e.want(t, other, topic, `1`)
	if events := stopped.Events(); len(events) > 0 {
		t.Errorf("a stopped listener got %q", texts(events))
	}
}

// stop may be called in fn, and ends the calls of fn there and then. Listeners
// made before and after that one miss nothing and get nothing twice.
func testStopInFn(t *testing.T, e ends) {
	topic := e.topic("stop.fn")
	others := make([]*Recorder, 3)
	others[0], _ = e.listen(t, topic)
	recorder := new(Recorder)
	stops := make(chan func(), 1)
	stop := e.listenFunc(t, topic, func(ev pubsub.Event) {
		recorder.Record(ev)
		select {
		case stop := <-stops:
			stop()
		default: // a call too many, which the recorder has
		}
	})
	stops <- stop
	others[1], _ = e.listen(t, topic)
	others[2], _ = e.listen(t, topic)
	var want []string
	for i := range 10 {
		want = append(want, fmt.Sprint(i))
		e.dispatch(t, topic, want[i])
	}
	for _, other := range others {
		e.want(t, other, topic, want...)
	}
	e.fence(t, others[0], topic)
	e.want(t, recorder, topic, "0")
}

// A listener stopped in the middle of a flow gets the flow up to some point, and
// nothing that was dispatched after stop returned.
func testStopWhileDispatching(t *testing.T, e ends) {
	const rounds, each = 20, 20
	topic := e.topic("stop.flow")
	other, _ := e.listen(t, topic)
	for round := range rounds {
		recorder, stop := e.listen(t, topic)
		first := make(chan struct{})
		var working sync.WaitGroup
		working.Go(func() {
			for i := range each {
				if i == 1 {
					close(first)
				}
				ev := pubsub.Event{Topic: topic, Payload: fmt.Append(nil, i)}
				if err := e.publisher.Dispatch(e.ctx, ev); err != nil {
					t.Errorf("Dispatch: %v", err)
				}
			}
		})
		<-first
		stop()
		working.Wait()
		e.dispatch(t, topic, `"late"`)
		e.fence(t, other, topic)
		for i, got := range texts(recorder.Events()) {
			if got != fmt.Sprint(i) {
				t.Fatalf("round %d: event %d is %s", round, i, got)
			}
		}
	}
}

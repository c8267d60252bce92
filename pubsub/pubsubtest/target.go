package pubsubtest

import (
	"testing"

	"github.com/alkdev/hubspoke/pubsub"
)

// TestTarget checks an implementation of [pubsub.EventTarget] against every
// sentence of its contract that can be observed.
//
// newTarget is called once for each part and returns the two ends: what is
// dispatched at publisher must reach the listeners of subscriber, and those of
// publisher itself. Both may be the same target. It releases what it makes with
// t.Cleanup. Targets of different parts may share a broker: topics are unique to
// a run. Delivery may be asynchronous, but at the suite's modest pace nothing may
// be lost.
//
// It must not run inside a synctest bubble.
func TestTarget(t *testing.T, newTarget func(t *testing.T) (publisher, subscriber pubsub.EventTarget)) {
	parts := []struct {
		name string
		run  func(*testing.T, ends)
	}{
		{"Deliver", testDeliver},
		{"DeliverNobodyListens", testNobodyListens},
		{"DeliverOwnEvents", testOwnEvents},
		{"DeliverManyTopics", testManyTopics},
		{"ListenIsLive", testListenIsLive},
		{"ListenTwice", testListenTwice},
		{"ListenAgain", testListenAgain},
		{"ListenNil", testNilListener},
		{"DispatchInFn", testDispatchInFn},
		{"ContextEndsAfterListen", testContextEndsAfterListen},
		{"ContextEndedBefore", testContextEndedBefore},
		{"OrderOnePublisher", testOrderOnePublisher},
		{"OrderManyPublishers", testOrderManyPublishers},
		{"StopTwice", testStopTwice},
		{"StopInFn", testStopInFn},
		{"StopWhileDispatching", testStopWhileDispatching},
		{"TopicInvalid", testTopicInvalid},
		{"TopicCharacters", testTopicCharacters},
		{"PayloadInvalid", testPayloadInvalid},
		{"PayloadNull", testPayloadNull},
		{"PayloadValues", testPayloadValues},
		{"PayloadSizes", testPayloadSizes},
		{"Model", testModel},
	}
	for _, part := range parts {
		t.Run(part.name, func(t *testing.T) {
			publisher, subscriber := newTarget(t)
			part.run(t, newEnds(t, publisher, subscriber))
		})
	}
}

// Package pubsub carries events from publishers to listeners, within a
// process or, by the same interface, beyond it.
//
// # Guarantees
//
// Delivery is at most once. An event reaches those who are subscribed when it
// is published; nothing is stored for later.
//
// Events arrive in order per topic and publisher. Between publishers and between
// topics nothing is promised.
//
// A subscription is live when Subscribe returns: what is published after that
// arrives. A publisher hears its own events.
//
// A slow subscriber costs its own events and nobody else's time. Publishers
// never wait for it.
//
// Loss is reported, never silent: where events are missing, OnGap is called in their
// place in the order, whether the subscription's own buffer overflowed or the
// target lost them on the way. Dropped and Gaps count. An event that cannot be decoded into the type of
// the subscription is an error in its place, [ErrDecode], and ends nothing: whether one publisher's
// mistake ends the loop is for the reader to decide.
//
// # Bounds
//
// A subscription holds at most 1024 events and 1 MiB of payload that are not yet
// read ([Buffer], [BufferBytes]); one event larger than that is held when it is
// the only one. Past the bound it drops the oldest, drops the newest, or ends
// ([OnFull]). It has no goroutine and no timer.
//
// A [Local] holds at most 4096 events and 4 MiB of payload for a listener that
// is busy while several publish concurrently. Past that it drops the newest and reports the gap to
// the listener. A listener that does not block, as it must not, stays far below.
//
// Payloads are never copied: the same bytes wait in all the subscriptions of a
// topic and are decoded in each reader's goroutine.
//
// # Usage
//
// A [Topic] joins a name and a Go type. Publish and subscribe through any
// [EventTarget], for instance a [Local]:
//
//	var status = pubsub.NewTopic[Status]("session.status")
//
//	sub, err := status.Subscribe(ctx, target, "proj_123")
//	if err != nil {
//		return err
//	}
//	for st, err := range pubsub.Filter(sub.All(), ready) {
//		if err != nil {
//			return err
//		}
//		…
//	}
//
// Leaving the loop ends the subscription. Publish:
//
//	err := status.Publish(ctx, target, "proj_123", Status{…})
//
// [Filter], [Map], [Take] and [Batch] work on any sequence of values and errors, also on that
// of call.Stream. An implementation of a target is tested with the suite in package pubsubtest.
package pubsub

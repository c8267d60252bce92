package pubsub

import "errors"

// The errors of this package. Test for them with [errors.Is]: they come back
// wrapped with the topic they concern.
var (
	// ErrClosed is returned by a target that has been closed, and by
	// [Subscription.Next] once its subscription has been stopped.
	ErrClosed = errors.New("pubsub: closed")

	// ErrNoListener is returned by Listen for a nil function.
	ErrNoListener = errors.New("pubsub: the listener is nil")
	// ErrInvalidTopic is returned for a topic that [ValidTopic] refuses.
	ErrInvalidTopic = errors.New("pubsub: invalid topic")

	// ErrInvalidPayload is returned for a payload that [ValidPayload] refuses.
	ErrInvalidPayload = errors.New("pubsub: invalid payload")

	// ErrDecode is the error of an event that could not be decoded into the type of its
	// subscription, with that of encoding/json. It does not end the subscription.
	ErrDecode = errors.New("pubsub: cannot decode an event")

	// ErrSlowConsumer ends a subscription with the policy [EndSubscription]
	// whose reader fell further behind than its buffer reaches.
	ErrSlowConsumer = errors.New("pubsub: slow consumer")
)

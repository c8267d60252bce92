package pubsub

import (
	"context"
	"encoding/json"
)

// Event is one message on a topic, or the notice that messages were lost there or that the subscription has ended.
type Event struct {
	// Topic says where the event was published; see [ValidTopic].
	Topic string

	// Payload is one JSON value. Nil means null, and a target may turn either
	// into the other. From the moment it is dispatched nobody may change it:
	// all listeners share it and may keep it.
	Payload json.RawMessage

	// Gap makes this a notice rather than an event: at this place in the order
	// events of the topic were lost. Payload is nil then.
	Gap bool

	// Dropped is, with Gap, how many events were lost. Zero means that nobody
	// knows. Without Gap it has no meaning.
	Dropped int

	// End, if it is not nil, makes this the last call of a listener: the target has ended the
	// subscription, for this reason. Payload is nil then, and Gap false. Only targets set it;
	// Dispatch ignores it.
	End error
}

// EventTarget carries events from publishers to listeners: inside a process
// ([Local]), over one connection, or through a broker. Package pubsubtest holds
// the suite that every implementation has to pass.
//
// Delivery is at most once. The events of one publisher on one topic reach a
// listener in the order in which they were dispatched; between publishers and
// between topics nothing is promised. One publisher is one goroutine, or
// several that wait for each other.
//
// All methods, and every stop function, may be called at the same time from
// any number of goroutines.
type EventTarget interface {
	// Dispatch publishes ev.
	//
	// ctx bounds only the waiting of this call. If it has ended before the call,
	// nothing is published and an error comes back. If it ends during the call,
	// the event may or may not arrive.
	//
	// A topic that nobody listens to is no error, and nil does not mean that
	// anybody got the event, nor that every listener has been called when
	// Dispatch returns. A publisher's own listeners hear its events too.
	//
	// ev.Payload must be nil, or JSON in UTF-8; a target refuses what [ValidPayload] refuses, since
	// one such payload would cost others their connection. Dispatch does not copy it.
	// After the call, also a failed one, the caller may read the payload but
	// never change it.
	//
	// What becomes of an event whose Gap is set is for each target to say.
	//
	// The error is [ErrInvalidTopic], [ErrInvalidPayload], [ErrClosed], the cause of ctx, or one of
	// the target's own.
	Dispatch(ctx context.Context, ev Event) error

	// Listen calls fn for the events of one topic until stop is called.
	//
	// The subscription is live when Listen returns: what is dispatched after
	// that arrives. ctx bounds only the waiting of this call: when it ends later,
	// the subscription stays. If it has ended before the call, or ends before
	// the subscription is live, an error comes back and fn is not called any more.
	//
	// fn is called for one event at a time, in the order of each publisher. The
	// goroutine may be that of a publisher, so fn must not block: it notes the
	// event and returns. No lock of the target is held meanwhile: fn may call stop
	// and Dispatch, on the same topic too. It may be called before Listen has
	// returned. It gets notices with Gap set as well as events.
	//
	// A target may end a subscription by itself, for instance if the right to it has been withdrawn.
	// It then calls fn a last time, with End set, after the events that came before. Without that call a
	// reader would wait without end. stop need not be called after it, and has no effect.
	//
	// Two calls of Listen make two subscriptions, also with the same fn, and
	// each event goes to both.
	//
	// stop ends the subscription. It waits neither for fn nor for a wire, may be
	// called any number of times, from anywhere, fn included. After it has
	// returned no new call of fn begins; one that was already under way on
	// another goroutine may still be. Without an error stop is never nil.
	//
	// The error is [ErrInvalidTopic], [ErrClosed], the cause of ctx, or one of
	// the target's own.
	Listen(ctx context.Context, topic string, fn func(Event)) (stop func(), err error)
}

// CloseNotifier is what an [EventTarget] may offer besides, so that its
// subscriptions end when it does. Without it their readers wait on.
type CloseNotifier interface {
	// AfterClose calls fn once when the target has been closed, at once if it
	// already is. fn must not block and may call the target. stop takes the
	// request back and reports whether that kept fn from being called; it may
	// be called any number of times, from anywhere.
	AfterClose(fn func()) (stop func() bool)
}

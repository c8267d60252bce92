package wstarget

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/pubsub"
)

// Target is the spoke's end: Dispatch publishes at the hub, Listen subscribes there. It outlives sessions, and has one
// at a time, between Attach and Detach. The zero value is ready for use and has no session. It must not be copied. All
// methods may be called concurrently.
type Target struct {
	local pubsub.Local // calls the listeners

	mu      sync.Mutex // guards the fields below and every subscription, and orders the frames about subscriptions
	topics  map[string]*subscription
	hub     *peer.Peer    // the session's; nil while there is none
	changed chan struct{} // closed when hub or closed changes; nil while no Dispatch waits for that
	closed  error
}

// subscription is what this end wants of one topic:
//
//	        ask              Subscribed
//	idle ─────────► asked ─────────────► live
//	  ▲               │                   │
//	  │    Detach     │                   │     Denied
//	  └───────────────┴───────────────────┴──────────────► (none)
//
// Attach asks for every topic, Listen for a new one. Denied ends the listeners. When the last listener stops,
// the hub is asked to unsubscribe; if its answer is still due, then after the answer, so that an answer always belongs to
// the last question (decision 010).
type subscription struct {
	topic     string
	listeners int // 0 only while asked
	state     state
	answer    *answer // for the listeners that wait
	missed    bool    // the listeners get a gap before anything else: they had an answer from an earlier session
}

type state uint8

const (
	idle  state = iota // there is no session
	asked              // the answer to __subscribe is due
	live               // the hub sends the events
)

// answer is what the hub answers to a subscription.
type answer struct {
	done chan struct{} // closed when the subscription has been live once, or was refused
	err  error         // set before done is closed
}

func newAnswer() *answer { return &answer{done: make(chan struct{})} }

func (a *answer) settled() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// settle sets the answer, unless it has been set.
func (a *answer) settle(err error) {
	if !a.settled() {
		a.err = err
		close(a.done)
	}
}

var (
	_ pubsub.EventTarget   = (*Target)(nil)
	_ pubsub.CloseNotifier = (*Target)(nil)
)

// Dispatch sends the event to the hub. While there is no session, or its queue is full, it waits until ctx ends. If the
// session ends before it has taken the event, the next one takes it. A nil error means that the event was queued: the
// hub answers a publish only if it refuses it. A notice of a gap is not sent. A payload that is not JSON is refused, since
// it would end the connection.
func (t *Target) Dispatch(ctx context.Context, ev pubsub.Event) error {
	if err := checkTopic(ev.Topic); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := pubsub.ValidPayload(ev.Payload); err != nil {
		return err
	}
	for {
		hub, err := t.await(ctx)
		if err != nil || ev.Gap {
			return err
		}
		err = hub.Publish(ctx, ev.Topic, ev.Payload)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case hub.Session().Cause() == nil:
			return err
		}
	}
}

// checkTopic also refuses a topic that would make an event look like another frame.
func checkTopic(topic string) error {
	if err := pubsub.ValidTopic(topic); err != nil {
		return err
	}
	if wire.Reserved(topic) {
		return fmt.Errorf("%w: %q is reserved", pubsub.ErrInvalidTopic, topic)
	}
	return nil
}

// await waits for a session that has not ended.
func (t *Target) await(ctx context.Context) (*peer.Peer, error) {
	for {
		t.mu.Lock()
		hub, closed := t.hub, t.closed
		switch {
		case closed != nil:
			t.mu.Unlock()
			return nil, closed
		case hub != nil && hub.Session().Cause() == nil:
			t.mu.Unlock()
			return hub, nil
		case t.changed == nil:
			t.changed = make(chan struct{})
		}
		changed := t.changed
		t.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (t *Target) changedLocked() {
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
}

// Listen subscribes at the hub, with the first listener of a topic, and returns when the subscription is live, or has
// been live in an earlier session. While there is no session, it waits until ctx ends. A refusal is a [*call.Error]; if the hub
// refuses or ends the subscription later, fn is called with it as [pubsub.Event.End].
func (t *Target) Listen(ctx context.Context, topic string, fn func(pubsub.Event)) (stop func(), err error) {
	if err := checkTopic(topic); err != nil {
		return nil, err
	}
	sub, answer, unlisten, err := t.join(ctx, topic, fn)
	if err != nil {
		return nil, err
	}
	stop = sync.OnceFunc(func() { unlisten(); t.leave(sub) })
	select {
	case <-answer.done:
		err = answer.err
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

// join adds a listener, and asks the hub if the topic is new.
func (t *Target) join(ctx context.Context, topic string, fn func(pubsub.Event)) (*subscription, *answer, func(), error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed != nil {
		return nil, nil, nil, pubsub.ErrClosed
	}
	unlisten, err := t.local.Listen(ctx, topic, fn)
	if err != nil {
		return nil, nil, nil, err
	}
	sub := t.topics[topic]
	if sub == nil {
		sub = &subscription{topic: topic, answer: newAnswer()}
		if t.topics == nil {
			t.topics = make(map[string]*subscription)
		}
		t.topics[topic] = sub
		t.askLocked(sub)
	}
	sub.listeners++
	return sub, sub.answer, unlisten, nil
}

// leave counts a listener less.
func (t *Target) leave(sub *subscription) {
	t.mu.Lock()
	defer t.mu.Unlock()
	sub.listeners--
	switch {
	case sub.listeners > 0 || t.topics[sub.topic] != sub: // it was refused, or the target has been closed
	case sub.state == asked:
		sub.missed = false
		if sub.answer.settled() { // in an earlier session: the next listener waits for the answer that is due
			sub.answer = newAnswer()
		}
	default:
		t.forgetLocked(sub)
	}
}

// askLocked subscribes at the hub. It has no effect if there is no session.
func (t *Target) askLocked(sub *subscription) {
	if t.hub != nil && t.hub.Post(wire.AppendTopic(nil, wire.Subscribe, sub.topic)) == nil {
		sub.state, sub.missed = asked, sub.answer.settled()
	}
}

// forgetLocked removes a subscription, and unsubscribes at the hub if it is live there.
func (t *Target) forgetLocked(sub *subscription) {
	delete(t.topics, sub.topic)
	if sub.state == live {
		_ = t.hub.Post(wire.AppendTopic(nil, wire.Unsubscribe, sub.topic)) // fails only if the session has ended
	}
}

// Attach makes the session of hub the one that events are sent to, and subscribes to every topic there. It has no effect
// if it is that already, also after the session was resumed.
func (t *Target) Attach(hub *peer.Peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed != nil || t.hub == hub {
		return
	}
	t.detachLocked()
	t.hub = hub
	t.changedLocked()
	for _, sub := range t.topics {
		t.askLocked(sub)
	}
}

// Detach ends the use of a session that has ended. The subscriptions wait for the next one.
func (t *Target) Detach(hub *peer.Peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hub == hub {
		t.detachLocked()
	}
}

func (t *Target) detachLocked() {
	t.hub = nil
	for topic, sub := range t.topics {
		if sub.listeners == 0 {
			delete(t.topics, topic)
		} else {
			sub.state = idle
		}
	}
}

// Subscribed takes the hub's answer that a subscription is live. Like the other methods for frames of the hub, it runs
// on the session's reader, and never waits but for the listeners.
func (t *Target) Subscribed(topic string) {
	t.mu.Lock()
	sub := t.topics[topic]
	if sub == nil || sub.state != asked {
		t.mu.Unlock()
		return
	}
	sub.state = live
	sub.answer.settle(nil)
	if sub.listeners == 0 {
		t.forgetLocked(sub)
	}
	missed := sub.missed
	sub.missed = false
	t.mu.Unlock()
	if missed {
		t.lose(topic, 0)
	}
}

// Denied takes the hub's refusal of a subscription, which ends it: the calls of Listen that wait return the refusal, and
// other listeners are called with it as the end.
func (t *Target) Denied(topic string, refusal *call.Error) {
	t.mu.Lock()
	sub := t.topics[topic]
	if sub == nil || sub.state == idle {
		t.mu.Unlock()
		return
	}
	delete(t.topics, topic)
	waiting := !sub.answer.settled()
	sub.answer.settle(refusal)
	end := t.local.End(topic, refusal)
	t.mu.Unlock()
	if !waiting {
		end()
	}
}

// Event takes an event. It keeps a copy of payload.
func (t *Target) Event(topic string, payload []byte) {
	if t.hears(topic) {
		_ = t.local.Deliver(pubsub.Event{Topic: topic, Payload: bytes.Clone(payload)}) // fails only if closed
	}
}

// Gap reports to the listeners of the topic that events are missing; dropped is how many, 0 if that is unknown.
func (t *Target) Gap(topic string, dropped int) {
	if t.hears(topic) {
		t.lose(topic, dropped)
	}
}

// hears reports whether the topic is subscribed to, or is about to be. It reports a gap that is due first.
func (t *Target) hears(topic string) bool {
	t.mu.Lock()
	sub := t.topics[topic]
	if sub == nil || sub.state == idle {
		t.mu.Unlock()
		return false
	}
	missed := sub.missed
	sub.missed = false
	t.mu.Unlock()
	if missed {
		t.lose(topic, 0)
	}
	return true
}

func (t *Target) lose(topic string, dropped int) {
	_ = t.local.Deliver(pubsub.Event{Topic: topic, Gap: true, Dropped: dropped}) // fails only if closed
}

// Close ends the target: pending and later calls of Dispatch, and pending calls of Listen, return cause; nil is
// [pubsub.ErrClosed], which later calls of Listen return.
func (t *Target) Close(cause error) {
	if cause == nil {
		cause = pubsub.ErrClosed
	}
	t.mu.Lock()
	if t.closed != nil {
		t.mu.Unlock()
		return
	}
	t.closed = cause
	for _, sub := range t.topics {
		sub.answer.settle(cause)
	}
	t.topics, t.hub = nil, nil
	t.changedLocked()
	t.mu.Unlock()
	t.local.Close()
}

// AfterClose implements [pubsub.CloseNotifier].
func (t *Target) AfterClose(fn func()) (stop func() bool) { return t.local.AfterClose(fn) }

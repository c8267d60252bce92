package wstarget

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/pubsub"
)

// Sender puts frames on the session's way out, in the order of the calls.
type Sender interface {
	// Control sends a control frame. It never waits, and keeps frame.
	Control(frame []byte) error
	// Event sends an event. It waits for room until ctx ends, and does not keep payload.
	Event(ctx context.Context, topic string, payload []byte) error
}

// Target is the spoke's end: Dispatch publishes at the hub, Listen subscribes
// there. It implements [pubsub.EventTarget]; its methods may be called concurrently.
type Target struct {
	out   Sender
	local pubsub.Local // delivers to the listeners

	mu     sync.Mutex // guards the fields below, and the order of control frames
	topics map[string]*interest
	closed error
}

// interest is what this end wants of one topic. One question to the hub is out
// at a time: who leaves before the answer lets it come, so that an answer always belongs to
// the last question.
type interest struct {
	listeners int
	live      chan struct{} // closed when the hub has answered
	answered  bool
	err       error // set before live is closed
}

// New makes the target of a session.
func New(out Sender) *Target { return &Target{out: out} }

var _ pubsub.EventTarget = (*Target)(nil)

// Dispatch sends the event to the hub. That it was sent is all that nil says: the
// hub answers a publish only when it refuses it. A notice of a gap is not sent. A payload that
// is not JSON is refused, since it would end the connection.
func (t *Target) Dispatch(ctx context.Context, ev pubsub.Event) error {
	if err := checkTopic(ev.Topic); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := t.cause(); err != nil {
		return err
	}
	switch {
	case ev.Gap:
		return nil
	case len(ev.Payload) == 0:
		ev.Payload = nil
	}
	if err := pubsub.ValidPayload(ev.Payload); err != nil {
		return err
	}
	return t.out.Event(ctx, ev.Topic, ev.Payload)
}

// checkTopic refuses also what the hub would take for another frame.
func checkTopic(topic string) error {
	if wire.Reserved(topic) {
		return fmt.Errorf("%w: %q is reserved", pubsub.ErrInvalidTopic, topic)
	}
	return pubsub.ValidTopic(topic)
}

func (t *Target) cause() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

// Listen subscribes at the hub, with the first listener of a topic, and returns
// when the hub says that the subscription is live. A refusal is a [*Denial].
func (t *Target) Listen(ctx context.Context, topic string, fn func(pubsub.Event)) (stop func(), err error) {
	if err := checkTopic(topic); err != nil {
		return nil, err
	}
	unlisten, err := t.local.Listen(ctx, topic, fn)
	if err != nil {
		return nil, err
	}
	in, err := t.join(topic)
	if err != nil {
		unlisten()
		return nil, err
	}
	var once sync.Once
	stop = func() { once.Do(func() { unlisten(); t.leave(topic, in) }) }
	select {
	case <-in.live:
		err = in.err
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

// join counts a listener and asks the hub with the first one.
func (t *Target) join(topic string) (*interest, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed != nil {
		return nil, t.closed
	}
	if in := t.topics[topic]; in != nil {
		in.listeners++
		return in, nil
	}
	if err := t.out.Control(wire.AppendTopic(nil, wire.Subscribe, topic)); err != nil {
		return nil, err
	}
	if t.topics == nil {
		t.topics = make(map[string]*interest)
	}
	in := &interest{listeners: 1, live: make(chan struct{})}
	t.topics[topic] = in
	return in, nil
}

func (t *Target) leave(topic string, in *interest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	in.listeners--
	if in.answered && in.listeners == 0 && t.topics[topic] == in {
		t.unsubscribeLocked(topic)
	}
}

func (t *Target) unsubscribeLocked(topic string) {
	delete(t.topics, topic)
	_ = t.out.Control(wire.AppendTopic(nil, wire.Unsubscribe, topic)) // fails only when the session has ended
}

// settle takes the hub's answer. With an error the topic is forgotten, so that
// the next listener asks anew.
func (t *Target) settle(topic string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	in := t.topics[topic]
	if in == nil || in.answered {
		return
	}
	in.answered, in.err = true, err
	close(in.live)
	switch {
	case err != nil:
		delete(t.topics, topic)
	case in.listeners == 0:
		t.unsubscribeLocked(topic)
	}
}

// Event delivers an event that the hub sent. It keeps a copy of payload.
func (t *Target) Event(topic string, payload []byte) {
	ev := pubsub.Event{Topic: topic}
	if payload != nil {
		ev.Payload = append([]byte(nil), payload...)
	}
	t.deliver(ev)
}

// Lose reports a gap of one event to the listeners of the topic, in place of an event that was dropped.
// It never waits.
func (t *Target) Lose(topic string) { t.deliver(pubsub.Event{Topic: topic, Gap: true, Dropped: 1}) }

func (t *Target) deliver(ev pubsub.Event) {
	t.mu.Lock()
	wanted := t.topics[ev.Topic] != nil
	t.mu.Unlock()
	if wanted {
		_ = t.local.Deliver(ev) // fails only when closed
	}
}

// Control takes a well-formed control frame and reports whether it was one of events.
func (t *Target) Control(m *wire.Message) bool {
	switch m.Type {
	case wire.Subscribed:
		t.settle(string(m.Topic), nil)
	case wire.Denied:
		if d := denialOf(m); d.Action == ActionSubscribe {
			t.settle(d.Topic, d)
		}
	case wire.Gap:
		t.deliver(pubsub.Event{Topic: string(m.Topic), Gap: true, Dropped: m.Dropped})
	default:
		return false
	}
	return true
}

// Ended takes a __denied and reports whether it ends a subscription that was live: its topic is
// forgotten, so that the next listener subscribes again.
func (t *Target) Ended(m *wire.Message) (topic string, ended bool) {
	d := denialOf(m)
	if d.Action != ActionSubscribe {
		return "", false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if in := t.topics[d.Topic]; in == nil || !in.answered {
		return d.Topic, false
	}
	delete(t.topics, d.Topic)
	return d.Topic, true
}

// Close ends the target with its session: who waits in Listen gets cause.
func (t *Target) Close(cause error) {
	if cause == nil {
		cause = errors.New("wstarget: the session has ended")
	}
	t.mu.Lock()
	if t.closed != nil {
		t.mu.Unlock()
		return
	}
	t.closed = cause
	for _, in := range t.topics {
		if !in.answered {
			in.answered, in.err = true, cause
			close(in.live)
		}
	}
	t.topics = nil
	t.mu.Unlock()
	t.local.Close()
}

// AfterClose implements [pubsub.CloseNotifier].
func (t *Target) AfterClose(fn func()) (stop func() bool) { return t.local.AfterClose(fn) }

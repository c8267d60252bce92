package wstarget

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/alkdev/hubspoke/pubsub"
)

// Sender puts frames on the session's way out.
type Sender interface {
	// Send appends one frame. An event waits for room until ctx ends; a control
	// frame never waits. It does not keep payload. Frames go out in the order of the calls.
	Send(ctx context.Context, typ string, payload []byte) error
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
	return t.out.Send(ctx, ev.Topic, ev.Payload)
}

// checkTopic refuses also what the hub would take for another frame.
func checkTopic(topic string) error {
	if strings.HasPrefix(topic, "__") || strings.HasPrefix(topic, "call.") {
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
	if err := t.out.Send(context.Background(), TypeSubscribe, topicPayload(topic)); err != nil {
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
	_ = t.out.Send(context.Background(), TypeUnsubscribe, topicPayload(topic)) // fails only when the session has ended
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

// Control takes a control frame and reports whether it was one of events and
// well-formed.
func (t *Target) Control(typ string, payload []byte) bool {
	switch typ {
	case TypeSubscribed:
		topic, err := parseTopic(payload)
		if err != nil {
			return false
		}
		t.settle(topic, nil)
	case TypeDenied:
		d, err := parseDenial(payload)
		if err != nil {
			return false
		}
		if d.Action == ActionSubscribe {
			t.settle(d.Topic, d)
		}
	case TypeGap:
		topic, dropped, err := parseGap(payload)
		if err != nil {
			return false
		}
		t.deliver(pubsub.Event{Topic: topic, Gap: true, Dropped: dropped})
	default:
		return false
	}
	return true
}

// Ended takes a __denied and reports whether it ends a subscription that was live: its topic is
// forgotten, so that the next listener asks anew.
func (t *Target) Ended(payload []byte) (topic string, ended bool) {
	d, err := parseDenial(payload)
	if err != nil || d.Action != ActionSubscribe {
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

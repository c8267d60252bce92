package peer

import (
	"context"
	"fmt"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/internal/wire"
)

// Publish appends an event of this spoke's program. While the queue is full, it waits until the context or the session
// ends. The payload is JSON, and is not kept. An event that the hub does not accept fails with MESSAGE_TOO_LARGE or
// VALIDATION_ERROR.
func (p *Peer) Publish(ctx context.Context, topic string, payload []byte) error {
	b := session.NewBuffer(len(payload))
	b.B = wire.AppendEvent(b.B, topic, payload)
	if size, limit := len(b.B), p.maxMessage.Load(); limit > 0 && int64(size) > limit {
		b.Free()
		return &call.Error{Code: call.CodeMessageTooLarge,
			Message: fmt.Sprintf("the event has %d bytes: limit %d (hub.Options.MaxMessageBytes)", size, limit)}
	}
	if err := jsonscan.CheckDepth(payload, p.MaxDepth()); err != nil {
		b.Free()
		return &call.Error{Code: call.CodeValidation, Message: "the payload " + err.Error(), Cause: err}
	}
	IncomingFrom(ctx).yield()
	_, err := p.sess.Append(ctx, session.Response, b, 0, nil)
	return err
}

// Event is an event on its way to many peers: its frame is encoded once. It must not be used concurrently.
type Event struct {
	topic string
	frame []byte // nil for LostEvent
	depth int    // the nesting of the frame, or an upper bound of it
	exact bool   // depth has been measured
}

// NewEvent encodes an event. The payload is JSON.
func NewEvent(topic string, payload []byte) Event {
	frame := wire.AppendEvent(make([]byte, 0, len(payload)+len(topic)+32), topic, payload)
	return Event{topic: topic, frame: frame, depth: 1 + len(payload)/2} // each level has two brackets
}

// LostEvent returns an event that cannot be sent to any peer: it leaves a gap of one.
func LostEvent(topic string) Event { return Event{topic: topic} }

// nestedOver reports whether the payload is nested deeper than limit.
func (e *Event) nestedOver(limit int) bool {
	if e.depth > limit+1 && !e.exact {
		e.depth, e.exact = jsonscan.Depth(e.frame), true
	}
	return e.depth > limit+1
}

// PostEvent appends an event, within the budget of the session for events. It never waits. An event that the other side
// does not accept is dropped, and a gap of one reported in its place. If ready is true, no other goroutine will write the
// frames: call [session.Session.FlushReady] soon.
func (p *Peer) PostEvent(e *Event) (ready bool) {
	if limit := p.maxMessage.Load(); e.frame == nil || limit > 0 && int64(len(e.frame)) > limit || e.nestedOver(p.MaxDepth()) {
		return p.sess.AppendEvent(e.topic, nil)
	}
	return p.sess.AppendEvent(e.topic, session.Shared(e.frame))
}

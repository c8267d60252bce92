package spoke

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/pubsub/wstarget"
)

// events is the target of [Spoke.Events]: the one table of subscriptions, which outlives sessions, for the spoke's program.
type events struct {
	spoke  *Spoke
	target wstarget.Target
}

var (
	_ pubsub.EventTarget   = (*events)(nil)
	_ pubsub.CloseNotifier = (*events)(nil)
)

// Dispatch implements [pubsub.EventTarget].
func (e *events) Dispatch(ctx context.Context, ev pubsub.Event) error {
	if strings.HasPrefix(ev.Topic, wire.HubPrefix) {
		return fmt.Errorf("%w: %q is reserved", pubsub.ErrInvalidTopic, ev.Topic)
	}
	err := e.target.Dispatch(ctx, ev)
	if errors.Is(err, pubsub.ErrInvalidPayload) {
		return &call.Error{Code: call.CodeValidation, Message: err.Error(), Cause: err}
	}
	return e.explain(ctx, err)
}

// Listen implements [pubsub.EventTarget].
func (e *events) Listen(ctx context.Context, topic string, fn func(pubsub.Event)) (stop func(), err error) {
	if fn != nil {
		fn = wstarget.Guard(&e.spoke.log, &e.spoke.counters, fn)
	}
	stop, err = e.target.Listen(ctx, topic, fn)
	return stop, e.explain(ctx, err)
}

// explain adds to the error of a context why the spoke has no session, if it has none.
func (e *events) explain(ctx context.Context, err error) error {
	if ctx.Err() == nil || !errors.Is(err, context.Cause(ctx)) || e.spoke.current() != nil {
		return err
	}
	return e.spoke.unregistered(err)
}

// AfterClose implements [pubsub.CloseNotifier].
func (e *events) AfterClose(fn func()) (stop func() bool) { return e.target.AfterClose(fn) }

// received takes an event of the hub. One that is nested deeper than this spoke accepts is dropped, and its subscribers see
// a gap.
func (e *events) received(topic string, payload []byte, err error) {
	if err != nil {
		e.spoke.log.Warn().Err(err).Str("topic", topic).Msg("event dropped")
		e.target.Gap(topic, 1)
		return
	}
	e.target.Event(topic, payload)
}

// control takes a control frame of the hub, and reports whether it was one of events.
func (e *events) control(m *wire.Message) bool {
	switch m.Type {
	case wire.Subscribed:
		e.target.Subscribed(string(m.Topic))
	case wire.Gap:
		e.target.Gap(string(m.Topic), m.Dropped)
	case wire.Denied:
		topic, refusal := string(m.Topic), call.Errorf(call.Code(m.Code), "%s", m.Text)
		e.spoke.log.Warn().Err(refusal).Bytes("action", m.Action).Str("topic", topic).Msg("the hub refused")
		if string(m.Action) == wire.ActionSubscribe {
			e.target.Denied(topic, refusal)
		}
	default:
		return false
	}
	return true
}

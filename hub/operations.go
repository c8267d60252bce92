package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/pubsub"
)

// Info is what hub.info answers.
type Info struct {
	HubID     string    `json:"hubId"`
	Protocol  string    `json:"protocol"`
	StartedAt time.Time `json:"startedAt"`
	Spokes    int       `json:"spokes"`
	Draining  bool      `json:"draining"`
}

// registerOperations puts the hub's own operations into its registry.
func (h *Hub) registerOperations() {
	r := &h.operations
	must(call.Handle(r, call.Operation{Name: "hub.info", Description: "what this hub is"}, func(context.Context, json.RawMessage) (Info, error) {
		return Info{h.opts.ID, Subprotocol, h.startedAt, h.table.len(), h.draining.Load()}, nil
	}))
	h.registerList(&spokeList, "a page of the spokes")
	h.registerList(&operationList, "a page of the operations that can be called")
	must(call.Handle(r, call.Operation{Name: "hub.publish", Type: call.Mutation,
		Description: "publish {topic, payload}; answered when published"}, h.publishOperation))
	must(call.HandleStream(r, call.Operation{Name: wire.OperationGather,
		Description: "call every spoke that serves {operationId, input}"}, h.gather))
}

// Publish publishes for an identity, nil for the embedding program, and returns
// when it is published. It fails with an [*call.Error]: ACCESS_DENIED,
// VALIDATION_ERROR or UNAVAILABLE.
func (h *Hub) Publish(ctx context.Context, id *call.Identity, topic string, payload json.RawMessage) error {
	if e := h.mayPublish(id, topic); e != nil {
		return e
	}
	ev := pubsub.Event{Topic: topic, Payload: payload}
	if e := h.checkPayload(ev); e != nil {
		return e
	}
	h.published.Add(1)
	if err := h.core.Dispatch(ctx, ev); err != nil {
		if ctx.Err() != nil {
			return peer.ContextError(ctx, true)
		}
		return notPublished(err)
	}
	return nil
}

// notPublished tells the publisher why, and, in details.local, whether the
// listeners of this hub have the event all the same (protocol section 9).
func notPublished(err error) *call.Error {
	e := &call.Error{Code: call.CodeUnavailable, Retryable: true, Message: err.Error(), Cause: err}
	if l, ok := errors.AsType[interface {
		error
		DeliveredLocally() bool
	}](err); ok && l.DeliveredLocally() {
		e.Details = json.RawMessage(`{"local":true}`)
	}
	return e
}

func (h *Hub) publishOperation(ctx context.Context, in json.RawMessage) (json.RawMessage, error) {
	var topic string
	var payload []byte
	if err := jsonscan.Decode(in, jsonscan.StringField("topic", &topic), jsonscan.RawField("payload", &payload)); err != nil {
		return nil, call.Refuse(&call.Error{Code: call.CodeValidation, Message: fmt.Sprintf("hub.publish: %v", err)})
	}
	err := h.Publish(ctx, call.IdentityFrom(ctx), topic, payload)
	if e := asError(err); e != nil && !e.Sent {
		return nil, call.Refuse(e) // nothing was published, so the call has not run
	}
	return nil, err
}

package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
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

// SpokeInfo describes a connected spoke.
type SpokeInfo struct {
	SpokeID      string            `json:"spokeId"`
	HubID        string            `json:"hubId"`
	ConnectionID string            `json:"connectionId"`
	Generation   int64             `json:"generation"`
	Name         string            `json:"name,omitempty"`
	Version      string            `json:"version,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
	Operations   []string          `json:"operations"`
	IdentityID   string            `json:"identityId"`
	InFlight     int               `json:"inFlight"`
	ConnectedAt  time.Time         `json:"connectedAt"`
	State        SpokeState        `json:"state"`
	// DetachedAt is when the connection of a detached spoke was lost; zero otherwise.
	DetachedAt time.Time `json:"detachedAt,omitzero"`
}

// SpokeState says whether a spoke can be called now.
type SpokeState string

// The states of a spoke.
const (
	SpokeConnected SpokeState = "connected"
	SpokeDetached  SpokeState = "detached" // its connection was lost, and its session waits for another
	SpokeDraining  SpokeState = "draining" // it finishes its calls and takes no new ones
)

// OperationInfo describes an operation that can be called.
type OperationInfo struct {
	call.Operation
	// Spokes is how many spokes serve it; 0 for one of the hub's own.
	Spokes int `json:"spokes"`
}

// registerOperations puts the hub's own operations into its registry.
func (h *Hub) registerOperations() {
	r := &h.operations
	must(call.Handle(r, "hub.info", func(context.Context, json.RawMessage) (Info, error) {
		return Info{h.opts.ID, Subprotocol, h.startedAt, h.table.len(), h.draining.Load()}, nil
	}, call.Describe("what this hub is")))
	must(call.Handle(r, "hub.spokes", func(ctx context.Context, _ json.RawMessage) ([]SpokeInfo, error) {
		return h.AllSpokes(ctx, call.IdentityFrom(ctx)), nil
	}, call.Describe("the spokes that are connected")))
	must(call.Handle(r, "hub.operations", func(ctx context.Context, _ json.RawMessage) ([]OperationInfo, error) {
		return h.AllOperations(ctx, call.IdentityFrom(ctx)), nil
	}, call.Describe("the operations that can be called")))
	must(call.Handle(r, "hub.publish", h.publishOperation, call.OfType(call.Mutation),
		call.Describe("publish {topic, payload}; answered when published")))
	must(call.HandleStream(r, call.OperationGather, h.gather,
		call.Describe("call every spoke that serves {operationId, input}")))
}

// Spokes lists the spokes of this hub, sorted by id, as far as the identity may
// see them; nil sees all. The slice is the caller's.
func (h *Hub) Spokes(id *call.Identity) []SpokeInfo {
	out := []SpokeInfo{}
	for _, c := range h.table.all() {
		if h.allow(id, List, c.id) != nil {
			continue
		}
		out = append(out, h.describe(c))
	}
	return out
}

func (h *Hub) describe(c *conn) SpokeInfo {
	p, detached := h.table.view(c)
	ops := make([]string, 0, len(p.operations))
	for name := range p.operations {
		ops = append(ops, name)
	}
	slices.Sort(ops)
	n, _ := c.peer.InFlight()
	info := SpokeInfo{
		SpokeID: c.id, HubID: h.opts.ID, ConnectionID: c.connectionID(), Generation: h.table.generationOf(c),
		Name: p.name, Version: p.version, Labels: p.labels, Operations: ops, IdentityID: c.who().ID,
		InFlight: n, ConnectedAt: c.connectedAt, State: SpokeConnected,
	}
	switch {
	case detached:
		info.State, info.DetachedAt = SpokeDetached, h.table.detachedSince(c)
	case c.draining.Load():
		info.State = SpokeDraining
	}
	return info
}

// ListOperations lists what can be called on this hub, its own operations
// included, sorted by name, as far as the identity may call it; nil sees all.
func (h *Hub) ListOperations(id *call.Identity) []OperationInfo {
	var out []OperationInfo
	for _, op := range h.operations.Operations() {
		if h.mayCall(id, op) == nil {
			out = append(out, OperationInfo{Operation: op})
		}
	}
	return mergeOperations(append(out, h.spokeOperations(id)...))
}

// spokeOperations lists what the spokes of this hub serve.
func (h *Hub) spokeOperations(id *call.Identity) []OperationInfo {
	out := []OperationInfo{}
	for _, c := range h.table.all() {
		if h.allow(id, List, c.id) != nil {
			continue
		}
		for _, op := range h.table.profileOf(c).operations {
			if h.mayCall(id, op) == nil {
				out = append(out, OperationInfo{Operation: op, Spokes: 1})
			}
		}
	}
	return mergeOperations(out)
}

// mergeOperations sorts by name and adds up who serves the same.
func mergeOperations(list []OperationInfo) []OperationInfo {
	slices.SortStableFunc(list, func(a, b OperationInfo) int { return strings.Compare(a.Name, b.Name) })
	out := list[:0]
	for _, o := range list {
		if n := len(out); n > 0 && out[n-1].Name == o.Name {
			out[n-1].Spokes += o.Spokes
			continue
		}
		out = append(out, o)
	}
	return out
}

// Publish publishes for an identity, nil for the embedding program, and returns
// when it is published. It fails with an [*call.Error]: ACCESS_DENIED,
// VALIDATION_ERROR or UNAVAILABLE.
func (h *Hub) Publish(ctx context.Context, id *call.Identity, topic string, payload json.RawMessage) error {
	if e := h.mayPublish(id, topic); e != nil {
		return e
	}
	if !call.ValidPayload(payload) {
		return &call.Error{Code: call.CodeValidation, Message: "the payload is not JSON"}
	}
	h.published.Add(1)
	if err := h.core.Dispatch(ctx, pubsub.Event{Topic: topic, Payload: payload}); err != nil {
		if ctx.Err() != nil {
			return call.ContextError(ctx, true)
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
	if err := h.Publish(ctx, call.IdentityFrom(ctx), topic, payload); err != nil {
		return nil, refused(err)
	}
	return nil, nil
}

// refused keeps what the hub's own operations refuse from counting as run.
func refused(err error) error {
	if e := asError(err); e != nil && !e.Sent {
		return call.Refuse(e)
	}
	return err
}

package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/transport"
)

// register takes a connection from its first frame to a live registration
// (protocol section 4). On an error the connection is closed with the code that
// belongs to it.
func (h *Hub) register(c *conn) error {
	requestID, reg, err := peer.ReadRegistration(c.transport)
	if err != nil {
		c.closeUnread(requestID, err)
		return err
	}
	if e := h.mayRegister(c.identity, reg); e != nil {
		_ = peer.WriteRefused(c.transport, requestID, e)
		c.transport.Close(transport.CloseRegistrationRefused, string(e.Code))
		return e
	}
	c.adopt(reg)
	got := h.table.claim(c)
	if !got.ok {
		e := &call.Error{Code: call.CodeUnavailable, Message: got.reason, Retryable: true}
		_ = peer.WriteRefused(c.transport, requestID, e)
		c.transport.Close(got.code, got.reason)
		return errors.New(got.reason)
	}
	if got.older != nil {
		got.older.retire(got.code, got.reason)
		h.departed(got.older, got.reason)
		defer h.withdraw(got.older.offered()) // after the newer one has said what it offers
	}
	return h.admit(c, requestID, reg)
}

// closeUnread answers a first frame that is no registration.
func (c *conn) closeUnread(requestID string, err error) {
	switch {
	case requestID != "":
		e := &call.Error{Code: call.CodeValidation, Message: err.Error()}
		_ = peer.WriteRefused(c.transport, requestID, e)
		c.transport.Close(transport.CloseRegistrationRefused, "malformed registration")
	case errors.Is(err, transport.ErrNotFrame):
		c.transport.Close(transport.CloseInvalidFrame, "not a frame")
	case errors.Is(err, peer.ErrNotRegistration):
		c.transport.Close(transport.CloseRegistrationRefused, "the first frame must be a registration")
	}
}

// adopt takes over what does not change while the connection lives.
func (c *conn) adopt(reg *peer.Registration) {
	c.id = reg.SpokeID
	if c.id == "" {
		c.id = uuid.NewString()
	}
	c.connectionID = uuid.NewString()
	c.instanceID, c.attempt = reg.InstanceID, reg.Attempt
	c.maxMessage = reg.MaxMessageBytes
	if c.maxMessage == 0 {
		c.maxMessage = DefaultMaxMessageBytes
	}
	c.connectedAt = time.Now()
	c.log = c.log.With().Str("spoke", c.id).Logger()
	c.peer.SetRemote(c.maxMessage, inFlightLimit(reg))
}

// inFlightLimit is how many requests the spoke takes at once.
func inFlightLimit(reg *peer.Registration) int {
	if reg.MaxInFlight > 0 {
		return reg.MaxInFlight
	}
	return peer.DefaultMaxInFlight
}

// admit gives the registration its generation, makes it a candidate, and answers.
func (h *Hub) admit(c *conn, requestID string, reg *peer.Registration) error {
	generation, err := h.claimRecord(c)
	switch {
	case errors.Is(err, ErrHeld), errors.Is(err, ErrSuperseded):
		return c.refuseElsewhere(requestID, err)
	case err != nil:
		c.log.Warn().Err(err).Msg("the directory did not take the registration; it holds on this hub")
	}
	first, ok := h.table.insert(c, generation, profileOf(reg))
	if !ok {
		c.transport.Close(c.replacedBy(h.table.newerOf(c)))
		return errReplaced
	}
	h.provide(first)
	if err := peer.WriteRegistered(c.transport, requestID, h.registered(c, generation)); err != nil {
		return fmt.Errorf("the registration's answer: %w", err)
	}
	if err := c.peer.Session().Attach(c.transport); err != nil {
		return err
	}
	h.arrived(c)
	c.log.Info().Int64("generation", generation).Int("operations", len(reg.Operations)).Msg("spoke registered")
	return nil
}

// refuseElsewhere answers a registration that another hub stands against.
func (c *conn) refuseElsewhere(requestID string, err error) error {
	code := transport.CloseIDTaken
	if errors.Is(err, ErrSuperseded) {
		code = transport.CloseSuperseded
	}
	e := &call.Error{Code: call.CodeUnavailable, Message: err.Error(), Retryable: true}
	_ = peer.WriteRefused(c.transport, requestID, e)
	c.transport.Close(code, err.Error())
	return err
}

func (h *Hub) registered(c *conn, generation int64) *peer.Registered {
	return &peer.Registered{
		HubID: h.opts.ID, SpokeID: c.id, ConnectionID: c.connectionID, Generation: generation,
		HeartbeatInterval: h.opts.HeartbeatInterval.Milliseconds(), MaxMessageBytes: h.opts.MaxMessageBytes,
	}
}

func profileOf(reg *peer.Registration) profile {
	p := profile{name: reg.Name, version: reg.Version, labels: reg.Labels}
	if len(reg.Operations) > 0 {
		p.operations = make(map[string]call.Operation, len(reg.Operations))
		for _, op := range reg.Operations {
			p.operations[op.Name] = op
		}
	}
	return p
}

// mayRegister asks whether the identity may hold the id and serve each operation.
func (h *Hub) mayRegister(id *call.Identity, reg *peer.Registration) *call.Error {
	if reg.SpokeID != "" {
		if e := h.allow(id, Hold, reg.SpokeID); e != nil {
			return e
		}
	}
	if len(reg.Operations) > h.opts.MaxOperations {
		return &call.Error{Code: call.CodeValidation,
			Message: fmt.Sprintf("%d operations; at most %d", len(reg.Operations), h.opts.MaxOperations)}
	}
	for _, op := range reg.Operations {
		if e := h.allow(id, Serve, op.Name); e != nil {
			return e
		}
	}
	return nil
}

// registerAgain replaces operations and labels of a live registration. An older
// one that comes later than a newer one is answered and changes nothing.
func (c *conn) registerAgain(in *peer.Inbound) *call.Error {
	reg, err := peer.ParseRegistration(in.Request.Input)
	if err != nil {
		return &call.Error{Code: call.CodeValidation, Message: err.Error()}
	}
	if reg.SpokeID != "" && reg.SpokeID != c.id {
		return &call.Error{Code: call.CodeValidation, Message: "a live connection keeps its spokeId"}
	}
	if e := c.hub.mayRegister(c.identity, reg); e != nil {
		return e
	}
	c.registering.Lock()
	defer c.registering.Unlock()
	if in.Order > c.registered {
		c.registered = in.Order
		first, last, ok := c.hub.table.update(c, profileOf(reg))
		if !ok {
			return &call.Error{Code: call.CodeDisconnected, Message: errReplaced.Error()}
		}
		c.hub.provide(first)
		c.hub.withdraw(last)
		if reg.MaxInFlight > 0 {
			c.peer.SetRemote(c.maxMessage, reg.MaxInFlight)
		}
	}
	generation := c.hub.table.generationOf(c)
	_ = in.Send(peer.RegisteredOutput(c.hub.registered(c, generation))) // fails only when the session has ended
	return nil
}

// directoryTimeout bounds every question to the directory.
const directoryTimeout = 3 * time.Second

// claimRecord tells the directory. Registration never fails because of it: the
// hub counts on by itself.
func (h *Hub) claimRecord(c *conn) (int64, error) {
	ctx, cancel := context.WithTimeout(h.ctx, directoryTimeout)
	defer cancel()
	g, err := h.directory.Claim(ctx, Record{SpokeID: c.id, HubID: h.opts.ID, IdentityID: c.identity.ID,
		InstanceID: c.instanceID, Attempt: c.attempt})
	if err != nil && g == 0 {
		g = time.Now().UnixMilli()
	}
	return g, err
}

// provide and withdraw tell the directory of first and last providers. What it
// is told is checked against the table, since others may have come or gone meanwhile.
func (h *Hub) provide(ops []string) {
	if len(ops) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.ctx), directoryTimeout)
	defer cancel()
	for _, op := range ops {
		if err := h.directory.Provide(ctx, h.opts.ID, op); err != nil {
			h.log.Warn().Err(err).Str("operation", op).Msg("the directory was not told of an operation")
		}
	}
	if gone := h.table.unserved(ops); len(gone) > 0 { // meanwhile; whoever took them out may have been first
		h.withdraw(gone)
	}
}

func (h *Hub) withdraw(ops []string) {
	if len(ops) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.ctx), directoryTimeout)
	defer cancel()
	ops = h.table.unserved(ops)
	for _, op := range ops {
		if err := h.directory.Withdraw(ctx, h.opts.ID, op); err != nil {
			h.log.Warn().Err(err).Str("operation", op).Msg("the directory was not told that an operation is gone")
		}
	}
	gone := h.table.unserved(ops)
	if back := slices.DeleteFunc(ops, func(op string) bool { return slices.Contains(gone, op) }); len(back) > 0 {
		h.provide(back)
	}
}

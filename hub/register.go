package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/registration"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/transport"
)

// arrival is a connection on its way to a registration.
type arrival struct {
	conn transport.Conn
	from *origin

	requestID string
	reg       *registration.Registration
}

// register takes a connection from its first frame to a live registration
// (protocol section 4). On an error the connection is closed with the code that
// belongs to it.
func (h *Hub) register(a *arrival) (*conn, error) {
	var err error
	limits := h.registrationLimits()
	limits.Timeout = h.opts.HandshakeTimeout
	if a.requestID, a.reg, err = registration.Read(a.conn, limits); err != nil {
		a.closeUnread(err)
		return nil, err
	}
	if e := h.mayRegister(a.from.identity, a.reg); e != nil {
		return nil, a.refuse(e, transport.CloseRegistrationRefused, string(e.Code))
	}
	if c, err := h.resume(a); c != nil || err != nil {
		return c, err
	}
	if err := h.heldElsewhere(a); err != nil {
		return nil, err
	}
	if !h.enterSession() {
		return nil, a.refuse(unavailable("the hub is draining"), transport.CloseTryAgainLater, "the hub is draining")
	}
	c := h.newConn(a)
	if err := h.registerNew(c, a); err != nil {
		c.end(err)
		if now := c.now.Load(); now != nil {
			now.reading.Done() // nobody will read: who waits for the reader's end must not wait for ever
		}
		return nil, err
	}
	return c, nil
}

func (h *Hub) registerNew(c *conn, a *arrival) error {
	got := h.table.claim(c)
	switch {
	case got.ok:
	case got.code == transport.CloseReplaced:
		return a.refuse(errNewerInstance, got.code, got.reason)
	default:
		return a.refuse(unavailable(got.reason), got.code, got.reason)
	}
	h.clear(got)
	if older := cmp.Or(got.older, got.displaced); older != nil {
		defer h.withdraw(older.offered()) // after the newer one has registered its operations
	}
	return h.admit(c, a)
}

// stoodAgainst refuses a registration against which another hub stands, and gives
// why; nil for everything else that the directory may say.
func (a *arrival) stoodAgainst(err error) error {
	switch {
	case errors.Is(err, ErrHeld):
		return a.refuse(unavailable(err.Error()), transport.CloseIDTaken, "the id is held by another identity")
	case errors.Is(err, ErrSuperseded):
		return a.refuse(unavailable(err.Error()), transport.CloseSuperseded, reasonNewer)
	}
	return nil
}

// heldElsewhere refuses an offer of a session that this hub does not hold, if another hub has a newer instance of the
// spoke. A directory that cannot be asked refuses nothing: the higher generation wins.
func (h *Hub) heldElsewhere(a *arrival) error {
	if s := a.reg.Session; s == nil || s.ID == "" || a.reg.SpokeID == "" || h.alone() {
		return nil
	}
	ctx, cancel := h.asking(h.ctx)
	defer cancel()
	rec, ok, err := h.directory.Spoke(ctx, a.reg.SpokeID)
	if err != nil || !ok || rec.HubID == h.opts.ID || rec.IdentityID != a.from.identity.ID || rec.InstanceID == a.reg.InstanceID {
		return nil
	}
	return a.refuse(errNewerInstance, transport.CloseReplaced, reasonReplaced)
}

// errNewerInstance answers an offer of a session whose spoke has been replaced.
var errNewerInstance = &call.Error{Code: call.CodeUnavailable, Message: "another instance of the spoke holds the id"}

func unavailable(message string) *call.Error {
	return &call.Error{Code: call.CodeUnavailable, Retryable: true, Message: message}
}

// refuse answers a registration with an error and closes. It gives the error.
func (a *arrival) refuse(e *call.Error, code transport.CloseCode, reason string) error {
	_ = registration.WriteRefused(a.conn, a.requestID, e)
	a.conn.Close(code, reason)
	return e
}

// closeUnread answers a first frame that is no registration.
func (a *arrival) closeUnread(err error) {
	switch {
	case errors.Is(err, registration.ErrTooLarge):
		e := &call.Error{Code: call.CodeMessageTooLarge, Message: err.Error() + " (hub.Options.MaxRegistrationBytes)"}
		_ = a.refuse(e, transport.CloseRegistrationRefused, string(e.Code))
	case a.requestID != "":
		e := &call.Error{Code: call.CodeValidation, Message: err.Error()}
		_ = a.refuse(e, transport.CloseRegistrationRefused, "malformed registration")
	case errors.Is(err, wire.ErrNotFrame):
		a.conn.Close(transport.CloseInvalidFrame, "not a frame")
	case errors.Is(err, registration.ErrNotRegistration):
		a.conn.Close(transport.CloseRegistrationRefused, "the first frame must be a registration")
	}
}

// admit gives the registration its generation, makes it a candidate, and answers.
func (h *Hub) admit(c *conn, a *arrival) error {
	generation, err := h.claimRecord(c, a.reg.Attempt)
	if e := a.stoodAgainst(err); e != nil {
		return e
	}
	if err != nil {
		c.Log().Warn().Err(err).Msg("the directory did not take the registration; it holds on this hub")
	}
	c.now.Store(c.first.begin(a.conn)) // before anybody can find the session
	first, ok := h.table.insert(c, generation, profileOf(a.reg))
	if !ok {
		a.conn.Close(c.replacedBy(h.table.newerOf(c)))
		return errReplaced
	}
	h.provide(first)
	h.warnOfVariants(c)
	if err := registration.WriteRegistered(a.conn, a.requestID, h.registered(c, generation, c.sessionAnswer())); err != nil {
		return fmt.Errorf("the registration's answer: %w", err)
	}
	if err := c.peer.Session().Attach(a.conn); err != nil {
		a.conn.Close(transport.CloseSuperseded, "superseded by a newer connection")
		return err
	}
	c.attached.Store(true)
	if h.draining.Load() {
		h.table.changed() // see awaitAttached
	}
	h.arrived(c)
	c.Log().Info().Int64("generation", generation).Int("operations", len(a.reg.Set.Operations)).Msg("spoke registered")
	return nil
}

func (h *Hub) registered(c *conn, generation int64, s *wire.Session) *wire.Registered {
	return &wire.Registered{
		HubID: h.opts.ID, SpokeID: c.id, ConnectionID: c.connectionID(), Generation: generation,
		HeartbeatInterval: h.opts.HeartbeatInterval.Milliseconds(), MaxMessageBytes: h.opts.MaxMessageBytes,
		MaxDepth: h.opts.MaxDepth, MaxRegistrationBytes: h.opts.MaxRegistrationBytes, MaxOperations: h.opts.MaxOperations,
		Session: s,
	}
}

func profileOf(reg *registration.Registration) profile {
	return profile{name: reg.Name, version: reg.Version, labels: reg.Labels, set: reg.Set, operations: reg.Set.ByName}
}

// mayRegister asks whether the identity may hold the id and serve each operation.
func (h *Hub) mayRegister(id *call.Identity, reg *registration.Registration) *call.Error {
	if reg.SpokeID != "" && !h.table.assigned(reg.SpokeID, id.ID) {
		if e := h.allow(id, Hold, reg.SpokeID); e != nil {
			return e
		}
	}
	if n := len(reg.Set.Operations); n > h.opts.MaxOperations {
		return &call.Error{Code: call.CodeValidation,
			Message: fmt.Sprintf("%d operations; at most %d", n, h.opts.MaxOperations)}
	}
	for _, op := range reg.Set.Operations {
		if e := h.allow(id, Serve, op.Name); e != nil {
			return e
		}
	}
	return nil
}

// registerAgain replaces operations and labels of a live registration. An older
// one that comes later than a newer one is answered and changes nothing.
func (c *conn) registerAgain(in *peer.Incoming) *call.Error {
	reg, err := c.hub.registrationLimits().Parse(in.Request.Input)
	switch {
	case errors.Is(err, registration.ErrTooLarge):
		return &call.Error{Code: call.CodeMessageTooLarge, Message: err.Error() + " (hub.Options.MaxRegistrationBytes)"}
	case err != nil:
		return &call.Error{Code: call.CodeValidation, Message: err.Error()}
	}
	if reg.SpokeID != "" && reg.SpokeID != c.id {
		return &call.Error{Code: call.CodeValidation, Message: "a live connection keeps its spokeId"}
	}
	if e := c.hub.mayRegister(c.who(), reg); e != nil {
		return e
	}
	c.registering.Lock()
	defer c.registering.Unlock()
	if in.Order > c.registered && !c.hub.table.outdated(c, reg) {
		c.registered = in.Order
		first, last, ok := c.hub.table.update(c, profileOf(reg))
		if !ok {
			return &call.Error{Code: call.CodeDisconnected, Message: errReplaced.Error()}
		}
		c.hub.provide(first)
		c.hub.withdraw(last)
		c.hub.warnOfVariants(c)
		if reg.MaxDepth > 0 {
			c.peer.SetMaxDepth(reg.MaxDepth)
		}
		if reg.MaxInFlight > 0 {
			c.peer.SetRemote(c.maxMessage.Load(), c.hub.inFlightLimit(reg))
		}
	}
	generation := c.hub.table.generationOf(c)
	_ = in.Send(registration.Output(c.hub.registered(c, generation, nil))) // fails only when the session has ended
	return nil
}

// directoryTimeout bounds every question to the directory.
const directoryTimeout = 3 * time.Second

// asking gives the context of a question to the directory. The one in memory does not wait, so it needs no timer.
func (h *Hub) asking(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := h.directory.(*MemoryDirectory); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, directoryTimeout)
}

// claimRecord tells the directory. Registration never fails because of it: the
// hub counts on by itself.
func (h *Hub) claimRecord(c *conn, attempt int64) (int64, error) {
	ctx, cancel := h.asking(h.ctx)
	defer cancel()
	g, err := h.directory.Claim(ctx, Record{SpokeID: c.id, HubID: h.opts.ID, IdentityID: c.who().ID,
		InstanceID: c.instanceID, Attempt: attempt})
	if err != nil && g == 0 {
		g = time.Now().UnixMilli()
	}
	return g, err
}

// provide and withdraw tell the directory of first and last providers. What it
// is told is checked against the table, since others may have come or gone meanwhile.
func (h *Hub) provide(ops []string) {
	if len(ops) == 0 { // the end of what withdraw repeats
		return
	}
	ctx, cancel := h.asking(context.WithoutCancel(h.ctx))
	defer cancel()
	for _, op := range ops {
		if err := h.directory.Provide(ctx, h.opts.ID, op); err != nil {
			h.log.Warn().Err(err).Str("operation", op).Msg("cannot add an operation to the directory")
		}
	}
	h.withdraw(h.table.unserved(ops)) // a withdrawal that began later may have ended before
}

func (h *Hub) withdraw(ops []string) {
	ctx, cancel := h.asking(context.WithoutCancel(h.ctx))
	defer cancel()
	ops = h.table.unserved(ops)
	for _, op := range ops {
		if err := h.directory.Withdraw(ctx, h.opts.ID, op); err != nil {
			h.log.Warn().Err(err).Str("operation", op).Msg("cannot withdraw an operation from the directory")
		}
	}
	gone := h.table.unserved(ops)
	h.provide(slices.DeleteFunc(ops, func(op string) bool { return slices.Contains(gone, op) }))
}

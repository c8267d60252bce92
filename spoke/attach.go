package spoke

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/transport"
)

// register registers on a fresh connection. It offers the session that the spoke holds; the hub's answer shows
// whether that was resumed or a new one begins, and then the old one has ended. A spoke that leaves begins none.
func (s *Spoke) register(conn transport.Conn) (l *link, resumed bool, err error) {
	a := &attachment{conn: conn, changed: s.operations.Changed()}
	reg := s.registration()
	held, offered := s.held, ""
	if !s.opts.NoSession {
		reg.Session = &wire.Offer{Window: s.opts.SessionWindow.Milliseconds(), Buffer: int64(s.opts.LogBytes)}
	}
	switch {
	case held.alive():
		offered = held.sessionID
		reg.Session.ID, reg.Session.Received = offered, held.peer.Session().ReceivedCount()
	case s.isStopping():
		return nil, false, errLeaving
	default: // the hub ends its side before it answers
		s.drop(errWindow)
	}
	if a.registered, err = peer.Register(conn, reg); err != nil {
		return nil, false, err
	}
	s.connects.Add(1)
	s.accepted(a, reg)
	if answer := a.registered.Session; answer != nil && offered != "" && answer.ID == offered {
		if err := held.resume(a); err != nil { // also where its window was over meanwhile
			return nil, false, err
		}
		return held, true, nil
	}
	s.drop(errNotResumed)
	if s.isStopping() {
		closeUnserved(conn, transport.CloseLeft, "leaving")
		return nil, false, errLeaving
	}
	l = s.newLink(a)
	s.held = l
	return l, false, l.peer.Session().Attach(conn)
}

// registrationSlack is what a registration may grow by without a new operation: its session and its attempt.
const registrationSlack = 512

// limits are what the hub takes of a registration; 0 is unknown.
type limits struct {
	operations int
	bytes      int // of the descriptions of operations
}

// accepted notes what the hub has taken, and how much more it would take.
func (s *Spoke) accepted(a *attachment, reg *peer.Registration) {
	l := limits{operations: a.registered.MaxOperations}
	if n := a.registered.MaxRegistrationBytes; n > 0 {
		rest := *reg
		rest.Operations = nil
		if text, err := json.Marshal(&rest); err == nil { // it was marshalled before
			l.bytes = max(n-len(text)-registrationSlack, 1)
		}
	}
	s.limits.Store(&l)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = reg.Operations
}

// checkOperation refuses an operation with which the hub would not take the registration: neither now nor
// after the next reconnect, when it would refuse the spoke with it.
func (s *Spoke) checkOperation(op call.Operation, operations, bytes int) error {
	if strings.HasPrefix(op.Name, "hub.") {
		return fmt.Errorf("%w %q: names that begin with hub. are the hub's", call.ErrInvalidOperation, op.Name)
	}
	l := s.limits.Load()
	switch {
	case l == nil:
	case l.operations > 0 && operations > l.operations:
		return fmt.Errorf("%w: operation %q is one over the limit of %d (hub.Options.MaxOperations)", call.ErrRegistryFull, op.Name, l.operations)
	case l.bytes > 0 && bytes > l.bytes:
		return fmt.Errorf("%w: with operation %q the descriptions have %d bytes; the limit is %d (hub.Options.MaxRegistrationBytes, less the rest of the registration)",
			call.ErrRegistryFull, op.Name, bytes, l.bytes)
	}
	return nil
}

// drop ends the session that is held, if any.
func (s *Spoke) drop(cause error) {
	if l := s.held; l != nil {
		s.held = nil
		s.unlink(l)
		l.finish(cause)
	}
}

// drainFrame announces that the spoke leaves.
var drainFrame = wire.AppendBare(nil, wire.Drain)

// resume goes on with another connection (protocol section 8).
func (l *link) resume(a *attachment) error {
	if err := l.peer.Session().Check(a.registered.Session.Received); err != nil {
		l.peer.End(err)
		closeUnserved(a.conn, transport.CloseProtocolError, "the session cannot be resumed: "+err.Error())
		return fmt.Errorf("resume: %w", err)
	}
	if l.spoke.isStopping() { // first of all frames, and again for a hub that has not heard it
		if err := a.conn.Write([][]byte{drainFrame}); err != nil {
			return fmt.Errorf("resume: %w", err)
		}
	}
	l.adopt(a)
	if err := l.peer.Session().Resume(a.conn, a.registered.Session.Received); err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	l.spoke.resumed.Add(1)
	l.spoke.log.Info().Int64("generation", a.registered.Generation).Msg("session resumed")
	return nil
}

// stay serves until the connection ends, and joins all that belongs to it but handlers. It notes in e how it ended.
func (s *Spoke) stay(ctx context.Context, l *link, resumed bool, e *end) {
	start := time.Now()
	a := l.now.Load()
	stopping := !s.setLink(l)
	s.events.target.Attach(l.peer)
	switch {
	case stopping && resumed: // Shutdown waits for what is in flight, and may have begun while there was no connection
		_ = l.peer.PostBare(wire.Drain) // fails only when the session has ended
	case stopping:
		a.conn.Close(transport.CloseLeft, "leaving")
	}
	s.state.set(Registered)
	leave := func() { a.conn.Close(transport.CloseLeft, "leaving") }
	stop, stopQuit := context.AfterFunc(ctx, leave), context.AfterFunc(s.quit, leave)
	keepCtx, stopKeeping := context.WithCancel(context.Background())
	l.wg.Go(func() { l.keep(keepCtx, a) })
	l.wg.Go(func() { l.heartbeat(keepCtx, a) })
	err := <-l.peer.Start(a.conn)
	stop()
	stopQuit()
	stopKeeping()
	e.err, e.registered, e.progressed = err, time.Since(start), resumed && l.peer.Session().Progressed()
	if ctx.Err() == nil && s.quit.Err() == nil && l.wait(a, err) {
		return
	}
	e.retryAfter = time.Duration(l.retryAfter.Load()) * time.Millisecond // for a new session, not for one that is kept
	s.drop(err)
}

// wait leaves the session waiting for the next connection, where it may: it is
// false when the session ends with this one.
func (l *link) wait(a *attachment, err error) bool {
	if l.sessionID == "" || !keepsSession(err, l.hubDrains.Load()) || !l.alive() {
		return false
	}
	l.peer.Session().Detach(a.conn)
	time.AfterFunc(l.window, func() { l.expire(a) })
	return true
}

// keepsSession reports after which ends of a connection the spoke offers its session (protocol section
// 7): the hub knows whether the hub resumed it. HubDrains reports that the hub has sent __drain on this
// connection.
func keepsSession(err error, hubDrains bool) bool {
	ce, ok := errors.AsType[*transport.CloseError](err)
	switch {
	case !ok:
		return true
	case ce.Remote:
		return !ce.Code.Terminal() && !(hubDrains && ce.Code == transport.CloseServiceRestart)
	}
	switch ce.Code {
	case transport.CloseLeft:
		return false
	case transport.CloseProtocolError, transport.CloseUnsupportedData, transport.CloseInvalidFrame, transport.CloseMessageTooBig:
		return false // what could not be read would come again
	}
	return true
}

func (s *Spoke) registration() *peer.Registration {
	changed := s.operations.Changed()
	operations := s.operations.Operations()
	s.mu.Lock()
	if s.refusedAt == changed { // again they would cost the spoke its connection
		operations = s.taken
	}
	s.mu.Unlock()
	return &peer.Registration{Operations: operations, Registration: wire.Registration{
		SpokeID: s.opts.ID, InstanceID: s.instanceID, Attempt: s.attempts.Load(), Name: s.opts.Name,
		Labels: s.opts.Labels, Version: s.opts.Version,
		MaxInFlight: s.opts.MaxInFlight, MaxMessageBytes: s.opts.MaxMessageBytes,
		MaxDepth: s.opts.MaxDepth,
	}}
}

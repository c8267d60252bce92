package spoke

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/transport"
)

// register registers on a fresh connection: it goes on with the session that is
// held, where the hub still has it, or begins a new one. What is not gone on with has ended
// when it returns.
func (s *Spoke) register(conn transport.Conn) (l *link, resumed bool, err error) {
	a := &attachment{conn: conn, changed: s.operations.Changed()}
	reg := s.registration()
	held := s.held
	switch {
	case held.alive():
		reg.Session = &peer.SessionRequest{ID: held.sessionID, Received: held.peer.Session().ReceivedCount(), Buffer: int64(s.opts.LogBytes)}
	case !s.opts.NoSession:
		reg.Session = &peer.SessionRequest{ID: uuid.NewString(), Buffer: int64(s.opts.LogBytes)}
	}
	if a.registered, err = peer.Register(conn, reg); err != nil {
		return nil, false, err
	}
	s.connects.Add(1)
	if answer := a.registered.Session; answer != nil && answer.Resumed {
		if held == nil {
			return nil, false, errNotAsked
		}
		if err := held.resume(a); err != nil { // also where its window was over meanwhile
			return nil, false, err
		}
		return held, true, nil
	}
	s.drop(errNotResumed)
	sessionID := ""
	if reg.Session != nil {
		sessionID = reg.Session.ID
	}
	l = s.newLink(a, sessionID)
	s.held = l
	return l, false, l.peer.Session().Attach(conn)
}

// drop ends the session that is held, if any.
func (s *Spoke) drop(cause error) {
	if l := s.held; l != nil {
		s.held = nil
		s.unlink(l)
		l.finish(cause)
	}
}

// resume goes on with another connection (protocol section 8).
func (l *link) resume(a *attachment) error {
	if err := l.peer.Session().Check(a.registered.Session.Received); err != nil {
		l.peer.End(err)
		return fmt.Errorf("resume: %w", err)
	}
	l.adopt(a)
	if err := l.peer.Session().Resume(a.conn, a.registered.Session.Received); err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	l.spoke.resumed.Add(1)
	l.spoke.log.Info().Int64("generation", a.registered.Generation).Msg("session resumed")
	return nil
}

// stay serves until the connection ends, and joins all that belongs to it but handlers.
func (s *Spoke) stay(ctx context.Context, l *link, resumed bool) end {
	start := time.Now()
	a := l.now.Load()
	stopping := !s.setLink(l)
	if !l.listening {
		l.listening = true
		s.events.attach(l)
	}
	switch {
	case stopping && resumed: // Shutdown waits for what is in flight
		_ = l.peer.Post(peer.TypeDrain, nil) // fails only when the session has ended
	case stopping:
		a.conn.Close(transport.CloseNormal, "leaving")
	}
	s.state.set(Registered)
	stop := context.AfterFunc(ctx, func() { a.conn.Close(transport.CloseNormal, "leaving") })
	keepCtx, stopKeeping := context.WithCancel(context.Background())
	l.wg.Go(func() { l.keep(keepCtx, a) })
	l.wg.Go(func() { l.heartbeat(keepCtx, a) })
	err := l.peer.Run(a.conn)
	stop()
	stopKeeping()
	e := end{err: err, registered: time.Since(start), retryAfter: time.Duration(l.retryAfter.Load()) * time.Millisecond}
	if ctx.Err() == nil && s.quit.Err() == nil && l.wait(a, err) {
		return e
	}
	s.drop(err)
	return e
}

// wait leaves the session waiting for the next connection, where it may: it is
// false when the session ends with this one.
func (l *link) wait(a *attachment, err error) bool {
	if l.sessionID == "" || !keepsSession(err) || !l.alive() {
		return false
	}
	l.peer.Session().Detach(a.conn)
	time.AfterFunc(l.window, func() { l.expire(a) })
	return true
}

// keepsSession says after which ends a session waits (protocol section 7).
func keepsSession(err error) bool {
	ce, ok := errors.AsType[*transport.CloseError](err)
	if !ok {
		return true
	}
	switch ce.Code {
	case transport.CloseTryAgainLater, transport.CloseHeartbeatMissed, transport.CloseCredentialsExpired, transport.CloseSuperseded:
		return ce.Remote
	}
	return false
}
func (s *Spoke) registration() *peer.Registration {
	return &peer.Registration{
		SpokeID: s.opts.ID, InstanceID: s.instanceID, Attempt: s.attempts.Load(), Name: s.opts.Name,
		Labels: s.opts.Labels, Version: s.opts.Version, Operations: s.operations.Operations(),
		MaxInFlight: s.opts.MaxInFlight, MaxMessageBytes: s.opts.MaxMessageBytes,
	}
}

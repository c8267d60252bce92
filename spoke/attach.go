package spoke

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/transport"
)

// register registers on a fresh connection. It offers the session that the spoke holds; the hub's answer says
// whether that was resumed or a new one begins, and then the old one has ended. A spoke that leaves begins none.
func (s *Spoke) register(conn transport.Conn) (l *link, resumed bool, err error) {
	a := &attachment{conn: conn, changed: s.operations.Changed()}
	reg := s.registration()
	held, offered := s.held, ""
	if !s.opts.NoSession {
		reg.Session = &peer.SessionRequest{Window: s.opts.SessionWindow.Milliseconds(), Buffer: int64(s.opts.LogBytes)}
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

// drop ends the session that is held, if any.
func (s *Spoke) drop(cause error) {
	if l := s.held; l != nil {
		s.held = nil
		s.unlink(l)
		l.finish(cause)
	}
}

// drainFrame announces that the spoke leaves.
var drainFrame = transport.AppendFrame(nil, peer.TypeDrain, nil)

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
	if !l.listening {
		l.listening = true
		s.events.attach(l)
	}
	switch {
	case stopping && resumed: // Shutdown waits for what is in flight, and may have begun while there was no connection
		_ = l.peer.Post(peer.TypeDrain, nil) // fails only when the session has ended
	case stopping:
		a.conn.Close(transport.CloseLeft, "leaving")
	}
	s.state.set(Registered)
	leave := func() { a.conn.Close(transport.CloseLeft, "leaving") }
	stop, stopQuit := context.AfterFunc(ctx, leave), context.AfterFunc(s.quit, leave)
	keepCtx, stopKeeping := context.WithCancel(context.Background())
	l.wg.Go(func() { l.keep(keepCtx, a) })
	l.wg.Go(func() { l.heartbeat(keepCtx, a) })
	err := l.peer.Run(a.conn)
	stop()
	stopQuit()
	stopKeeping()
	e.err, e.registered = err, time.Since(start)
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

// keepsSession reports after which ends of a connection the spoke offers its session (protocol section 7): the hub knows
// whether it still has it. HubDrains says that the hub has sent __drain on this connection.
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
	return &peer.Registration{
		SpokeID: s.opts.ID, InstanceID: s.instanceID, Attempt: s.attempts.Load(), Name: s.opts.Name,
		Labels: s.opts.Labels, Version: s.opts.Version, Operations: s.operations.Operations(),
		MaxInFlight: s.opts.MaxInFlight, MaxMessageBytes: s.opts.MaxMessageBytes,
		MaxDepth: s.opts.MaxDepth,
	}
}

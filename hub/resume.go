package hub

import (
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/transport"
)

// resume goes on with the session that a registration names (protocol section
// 8). It gives nil and no error where there is none: a new one then begins.
func (h *Hub) resume(a *arrival) (*conn, error) {
	if a.reg.Session == nil {
		return nil, nil
	}
	c := h.table.session(a.reg.Session.ID)
	if c == nil {
		return nil, nil
	}
	if c.who().ID != a.identity.ID || c.instanceID != a.reg.InstanceID || c.id != a.reg.SpokeID {
		a.log.Warn().Str("spoke", c.id).Msg("somebody else asked for a session that is in use")
		e := &call.Error{Code: call.CodeAccessDenied, Message: "the session is somebody else's"}
		return nil, a.refuse(e, transport.CloseRegistrationRefused, "the session is somebody else's")
	}
	c.resuming.Lock()
	defer c.resuming.Unlock()
	if !h.table.newAttempt(c, a.reg.Attempt) {
		return nil, a.refuse(unavailable("a newer connection of the spoke is there"), transport.CloseSuperseded, "a newer connection of the spoke is there")
	}
	c.closeOld()
	sess := c.peer.Session()
	if sess.Cause() != nil {
		return nil, nil // it has ended meanwhile
	}
	if err := sess.Check(a.reg.Session.Received); err != nil {
		c.log.Warn().Err(err).Msg("session ended")
		c.end(err)
		return nil, nil
	}
	if err := h.readmit(c, a); err != nil {
		c.startWindow(c.now.Load()) // it waits on, for the next attempt
		return nil, err
	}
	return c, nil
}

// closeOld ends the connection that the spoke has given up, and waits until its
// reader has ended: from then on nothing more is counted as received.
func (c *conn) closeOld() {
	old := c.now.Load()
	select {
	case <-old.done:
		return
	default:
	}
	old.conn.Close(transport.CloseSuperseded, "superseded by a newer connection")
	grace := time.NewTimer(closeGrace)
	defer grace.Stop()
	select {
	case <-old.done:
	case <-grace.C: // it is half-open: nobody answers
		old.conn.Abort()
		<-old.done
	}
	old.conn.Abort()
}

// closeGrace is how long a connection that is superseded may take to answer its close.
const closeGrace = 100 * time.Millisecond

// readmit makes a session that has no connection a candidate again, and answers.
func (h *Hub) readmit(c *conn, a *arrival) error {
	generation, err := h.claimRecord(c, a.reg.Attempt)
	if err != nil {
		c.log.Warn().Err(err).Msg("the directory did not take the registration; it holds on this hub")
	}
	c.adopt(a)
	c.draining.Store(false)
	sess := c.peer.Session()
	answer := h.registered(c, generation, a.connectionID, c.sessionAnswer(true))
	if err := peer.WriteRegistered(a.conn, a.requestID, answer); err != nil {
		return err
	}
	if err := sess.Resume(a.conn, a.reg.Session.Received); err != nil {
		a.conn.Close(transport.CloseTryAgainLater, "the session has ended")
		return err
	}
	c.now.Store(&attachment{conn: a.conn, done: make(chan struct{})})
	if t := c.window.Swap(nil); t != nil {
		t.Stop()
	}
	first, last, ok := h.table.restore(c, generation, profileOf(a.reg))
	if ok {
		h.provide(first)
		h.withdraw(last)
	}
	h.resumed.Add(1)
	c.log.Info().Int64("generation", generation).Msg("session resumed")
	return nil
}

func (c *conn) sessionAnswer(resumed bool) *peer.SessionAnswer {
	if c.sessionID == "" {
		return nil
	}
	return &peer.SessionAnswer{Resumed: resumed, Received: c.peer.Session().ReceivedCount(),
		Window: c.hub.opts.SessionWindow.Milliseconds()}
}

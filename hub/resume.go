package hub

import (
	"math"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/registration"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/transport"
)

// resume goes on with the session that a registration names (protocol section
// 8). It gives nil and no error where there is none: a new one then begins.
func (h *Hub) resume(a *arrival) (*conn, error) {
	if a.reg.Session == nil || a.reg.Session.ID == "" {
		return nil, nil
	}
	c := h.table.session(a.reg.Session.ID)
	if c == nil {
		return nil, nil
	}
	sameID := c.id == a.reg.SpokeID || c.assigned && a.reg.SpokeID == ""
	if c.who().ID != a.from.identity.ID || c.instanceID != a.reg.InstanceID || !sameID {
		h.logOf(a.from).Warn().Str("spoke", c.id).Msg("somebody else asked for a session that is in use")
		reason := "the session belongs to another identity, instance or spoke id"
		e := &call.Error{Code: call.CodeAccessDenied, Message: reason}
		return nil, a.refuse(e, transport.CloseRegistrationRefused, reason)
	}
	c.resuming.enter() // for the time of a handshake at most
	defer c.resuming.leave()
	if !h.table.newAttempt(c, a.reg.Attempt) {
		return nil, a.refuse(unavailable(reasonNewer), transport.CloseSuperseded, reasonNewer)
	}
	c.closeOld()
	if err := c.peer.Session().Check(a.reg.Session.Received); err != nil {
		c.Log().Warn().Err(err).Msg("session not resumed")
		c.end(err) // also where its end is under way, so that the id is free
		return nil, nil
	}
	if err := h.readmit(c, a); err != nil {
		if h.table.waitingNow() > h.opts.MaxWaiting {
			c.end(err)
		} else {
			c.startWindow(c.now.Load()) // it waits on, for the next attempt
		}
		return nil, err
	}
	return c, nil
}

// closeOld ends the connection that the spoke has given up, and waits until its
// reader has ended: from then on nothing more is counted as received.
func (c *conn) closeOld() {
	old := c.now.Load()
	old.superseded.Store(true)
	old.conn.Close(transport.CloseSuperseded, "superseded by a newer connection")
	grace := time.AfterFunc(closeGrace, old.conn.Abort) // it is half-open then: nobody answers
	old.reading.Wait()
	grace.Stop()
	old.conn.Abort()
}

// closeGrace is how long a connection that is superseded may take to answer its close.
const closeGrace = 100 * time.Millisecond

// readmit makes a session that has no connection a candidate again, and answers.
func (h *Hub) readmit(c *conn, a *arrival) error {
	c.adopt(a)
	sess := c.peer.Session()
	answer := h.registered(c, h.table.generationOf(c), c.sessionAnswer())
	now := new(attachment).begin(a.conn)
	// Before the spoke can see the answer: what closes the connection from then on closes this one, and calls find the spoke
	// as it has registered.
	c.now.Store(now)
	first, last, ok := h.table.restore(c, profileOf(a.reg))
	if ok {
		h.provide(first)
		h.warnOfVariants(c)
		h.withdraw(last)
	}
	fail := func(err error) error {
		h.table.suspend(c, math.MaxInt) // as before, unless it has been taken out
		now.reading.Done()
		return err
	}
	if err := registration.WriteRegistered(a.conn, a.requestID, answer); err != nil {
		return fail(err)
	}
	if err := sess.Resume(a.conn, a.reg.Session.Received); err != nil {
		a.conn.Close(transport.CloseTryAgainLater, "the session has ended")
		return fail(err)
	}
	c.drainResumed()
	if t := c.window.Swap(nil); t != nil {
		t.Stop()
	}
	h.resumed.Add(1)
	h.announceResumed(c)
	c.Log().Info().Msg("session resumed")
	return nil
}

func (c *conn) sessionAnswer() *wire.Session {
	if c.sessionID == "" {
		return nil
	}
	return &wire.Session{ID: c.sessionID, Received: c.peer.Session().ReceivedCount(), Buffer: int64(c.hub.opts.LogBytes),
		Window: time.Duration(c.keepFor.Load()).Milliseconds(), URL: c.hub.opts.URL}
}

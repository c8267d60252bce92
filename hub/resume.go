package hub

import (
	"errors"
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
	sameID := c.id == a.reg.SpokeID || c.assigned && a.reg.SpokeID == ""
	if c.who().ID != a.from.identity.ID || c.instanceID != a.reg.InstanceID || !sameID {
		h.logOf(a.from).Warn().Str("spoke", c.id).Msg("somebody else asked for a session that is in use")
		e := &call.Error{Code: call.CodeAccessDenied, Message: "the session is somebody else's"}
		return nil, a.refuse(e, transport.CloseRegistrationRefused, "the session is somebody else's")
	}
	c.resuming.enter() // for the time of a handshake at most
	defer c.resuming.leave()
	if !h.table.newAttempt(c, a.reg.Attempt) {
		return nil, a.refuse(unavailable("a newer connection of the spoke is there"), transport.CloseSuperseded, "a newer connection of the spoke is there")
	}
	c.closeOld()
	if err := c.mayResume(a.reg.Session.Received); err != nil {
		c.log().Warn().Err(err).Msg("session not resumed")
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

// mayResume says why the session cannot go on with one who has received this much of it.
func (c *conn) mayResume(received uint64) error {
	sess := c.peer.Session()
	if err := sess.Cause(); err != nil {
		return err
	}
	if received > 0 && received == c.begunAt && sess.Unheard() {
		return errUnheard
	}
	return sess.Check(received)
}

// errUnheard: the spoke asked for an older session under the same id, was told that a new one has begun, and comes
// again with the count of the older one: the answer was lost.
var errUnheard = errors.New("the spoke does not know that a new session has begun")

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
	generation, err := h.claimRecord(c, a.reg.Attempt)
	if e := a.stoodAgainst(err); e != nil {
		c.end(e) // the spoke is on another hub
		return e
	}
	if err != nil {
		c.log().Warn().Err(err).Msg("the directory did not take the registration; it holds on this hub")
	}
	if !h.table.renumber(c, generation) {
		h.release(c, generation) // it ended meanwhile, and released the one before
	}
	c.adopt(a)
	c.draining.Store(false)
	c.leaving.Store(false)
	sess := c.peer.Session()
	answer := h.registered(c, generation, c.sessionAnswer(true))
	if err := peer.WriteRegistered(a.conn, a.requestID, answer); err != nil {
		return err
	}
	now := new(attachment).begin(a.conn)
	c.now.Store(now) // first, so that whoever ends the session from now on closes this connection
	if err := sess.Resume(a.conn, a.reg.Session.Received); err != nil {
		a.conn.Close(transport.CloseTryAgainLater, "the session has ended")
		now.reading.Done()
		return err
	}
	if h.draining.Load() { // Shutdown may have seen it waiting
		c.dismiss(transport.CloseServiceRestart, "the hub goes away")
	}
	if t := c.window.Swap(nil); t != nil {
		t.Stop()
	}
	first, last, ok := h.table.restore(c, generation, profileOf(a.reg))
	if ok {
		h.provide(first)
		h.warnOfVariants(c)
		h.withdraw(last)
	}
	h.resumed.Add(1)
	h.announceResumed(c)
	c.log().Info().Int64("generation", generation).Msg("session resumed")
	return nil
}

func (c *conn) sessionAnswer(resumed bool) *peer.SessionAnswer {
	if c.sessionID == "" {
		return nil
	}
	return &peer.SessionAnswer{Resumed: resumed, Received: c.peer.Session().ReceivedCount(),
		Buffer: int64(c.hub.opts.LogBytes),
		Window: c.hub.opts.SessionWindow.Milliseconds()}
}

package hub

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/transport"
)

// attachment is one connection of a session, until its reader has ended.
type attachment struct {
	conn transport.Conn

	reading    sync.WaitGroup // until the reader has ended and the session knows
	superseded atomic.Bool    // by the spoke's own newer one, which is about to resume

	// Of the goroutine of Hub.heartbeat.
	heartbeat *peer.Heartbeat // nil before the first look
	pinged    bool            // a WebSocket ping was sent, and nothing has been received since
}

// begin makes it that of conn, whose reader is about to start: who does not start it calls reading.Done.
func (a *attachment) begin(conn transport.Conn) *attachment {
	a.conn = conn
	a.reading.Add(1)
	return a
}

// gate lets one at a time through. Unlike a mutex it may be held while time passes, also in a test's.
type gate struct {
	once sync.Once
	full chan struct{} // made when it is needed, for few sessions are ever resumed
}

func (g *gate) enter() { _ = g.enterWithin(context.Background()) }

// enterWithin enters unless ctx ends first.
func (g *gate) enterWithin(ctx context.Context) error {
	g.once.Do(func() { g.full = make(chan struct{}, 1) })
	select {
	case g.full <- struct{}{}:
		return nil
	case <-ctx.Done():
		return peer.ContextError(ctx, false)
	}
}

func (g *gate) leave() { <-g.full }

// errWindow is why a session ends whose spoke did not come back in time.
var errWindow = errors.New("the connection was lost and the session was not resumed in time")

// run reads until the connection ends. It runs on a goroutine of its own, so that
// the stack of the HTTP handler goes. The connection keeps its place until then.
func (c *conn) run(a *attachment, place *admission) {
	defer place.leave()
	err := c.peer.Run(a.conn)
	if !c.detach(a, err) {
		c.end(err)
	}
	a.reading.Done()
	a.conn.Abort()
}

// detach keeps the session for the next connection if that is possible. It returns false if the session ends
// with this one.
func (c *conn) detach(a *attachment, err error) bool {
	if c.sessionID == "" || !keepsSession(err) || c.peer.Session().Cause() != nil || c.hub.draining.Load() && !c.peer.Busy() {
		return false
	}
	limit := c.hub.opts.MaxWaiting
	if a.superseded.Load() {
		limit = math.MaxInt // it does not wait, or not for long
	}
	if !c.hub.table.suspend(c, limit) {
		c.Log().Warn().Int("limit", limit).Msg("too many detached sessions (hub.Options.MaxWaiting); this one ends")
		return false
	}
	c.peer.Session().Detach(a.conn)
	if c.drained.Load() { // Shutdown has closed a connection that was lost already
		return false
	}
	c.hub.announceDetached(c, closeReason(err))
	c.Log().Info().Err(err).Msg("connection lost; the session waits")
	c.startWindow(a)
	return true
}

// startWindow ends the session after its window. A registration that has resumed it by then, or is about to, has
// replaced c.now or holds c.resuming.
func (c *conn) startWindow(a *attachment) {
	timer := time.AfterFunc(time.Duration(c.keepFor.Load()), func() {
		c.resuming.enter()
		defer c.resuming.leave()
		if c.now.Load() == a && !c.peer.Session().Attached() {
			c.end(errWindow)
		}
	})
	if old := c.window.Swap(timer); old != nil {
		old.Stop()
	}
}

// keepsSession reports after which ends of a connection the hub keeps its session (protocol section 7).
// Of all that can come from the side of the spoke, a proxy between included, only 4008 is the spoke's own
// word.
func keepsSession(err error) bool {
	ce, ok := errors.AsType[*transport.CloseError](err)
	switch {
	case !ok:
		return true
	case ce.Remote:
		return ce.Code != transport.CloseLeft
	}
	switch ce.Code {
	case transport.CloseHeartbeatMissed, transport.CloseCredentialsExpired, transport.CloseSuperseded, transport.CloseTryAgainLater:
		return true
	}
	return false
}

// hangUp closes the current connection, if there is one.
func (c *conn) hangUp(code transport.CloseCode, reason string) {
	if a := c.now.Load(); a != nil {
		a.conn.Close(code, reason)
	}
}

// dismiss closes the connection, and ends a session that has none.
func (c *conn) dismiss(code transport.CloseCode, reason string) {
	c.hangUp(code, reason)
	if !c.peer.Session().Attached() {
		c.end(&transport.CloseError{Code: code, Reason: reason})
	}
}

package hub

import (
	"context"
	"time"

	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/transport"
)

// heartbeat looks after all connections: it sends signs of life and pings, drops those that are silent
// (protocol section 7), and closes those whose credentials have expired.
func (h *Hub) heartbeat(ctx context.Context) {
	tick := time.NewTicker(h.heartbeatPeriod())
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			h.beatAll(time.Now())
		case <-ctx.Done():
			return
		}
	}
}

func (h *Hub) heartbeatPeriod() time.Duration {
	return peer.HeartbeatPeriod(h.opts.HeartbeatInterval, h.opts.HeartbeatTimeout)
}

func (h *Hub) beatAll(now time.Time) {
	for _, c := range h.table.everyone() {
		if a := c.now.Load(); a != nil && c.peer.Session().Attached() {
			c.closeExpired(a, now)
			c.beat(a, now)
		}
	}
}

// beat looks after one connection. It runs on the goroutine of heartbeat.
func (c *conn) beat(a *attachment, now time.Time) {
	o := &c.hub.opts
	if a.heartbeat == nil {
		a.heartbeat = c.peer.NewHeartbeat(a.conn, wire.Pong, o.HeartbeatInterval, c.hub.heartbeatPeriod(), now)
	}
	silent := a.heartbeat.Look(now)
	switch {
	case silent < o.HeartbeatInterval:
		a.pinged = false
	case silent >= o.HeartbeatInterval+o.HeartbeatTimeout:
		c.Log().Info().Dur("silent", silent).Msg("heartbeat missed")
		if !c.peer.Session().Resumable() {
			c.peer.End(errSilent) // nothing is routed to it while it does not answer the close
		}
		a.conn.Close(transport.CloseHeartbeatMissed, "heartbeat missed")
	case !a.pinged:
		a.pinged = true
		_ = a.conn.Ping() // one that cannot be sent is a missed one
	}
}

// closeExpired closes a connection whose credentials have expired or been revoked. Its session waits
// for the spoke to come back with new ones.
func (c *conn) closeExpired(a *attachment, now time.Time) {
	if !c.who().Ended(now) || c.expired.Swap(a) == a {
		return
	}
	c.Log().Info().Msg("credentials expired")
	a.conn.Close(transport.CloseCredentialsExpired, "credentials expired")
}

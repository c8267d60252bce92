package hub

import (
	"context"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/transport"
)

// heartbeat is the one wheel for all connections: whoever has been silent for
// the interval is pinged, whoever still is after the time-out is dropped (protocol section 7). It
// also closes those whose credentials have expired.
func (h *Hub) heartbeat(ctx context.Context) {
	tick := time.NewTicker(beatPeriod(h.opts.HeartbeatInterval, h.opts.HeartbeatTimeout))
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

// beatPeriod is how often the wheel looks: fine enough for a tenth of either
// time, at most once a second.
func beatPeriod(interval, timeout time.Duration) time.Duration {
	return max(min(interval/10, timeout/10, time.Second), 5*time.Millisecond)
}

func (h *Hub) beatAll(now time.Time) {
	for _, c := range h.table.everyone() {
		a := c.now.Load()
		if a == nil || !c.peer.Session().Attached() {
			continue
		}
		c.closeExpired(a, now)
		silent := now.Sub(a.conn.LastReceived())
		switch {
		case silent < h.opts.HeartbeatInterval:
			c.pinged.Store(false)
		case silent >= h.opts.HeartbeatInterval+h.opts.HeartbeatTimeout:
			c.log().Info().Dur("silent", silent).Msg("heartbeat missed")
			if !c.peer.Session().Resumable() {
				c.peer.End(errSilent) // nothing is routed to it while it does not answer the close
			}
			a.conn.Close(transport.CloseHeartbeatMissed, "heartbeat missed")
		case !c.pinged.Swap(true):
			if p, ok := a.conn.(transport.Pinger); ok {
				_ = p.Ping() // one that cannot be sent is a missed one
			}
		}
	}
}

// closeExpired closes a connection whose credentials are over. Its session waits
// for the spoke to come back with new ones.
func (c *conn) closeExpired(a *attachment, now time.Time) {
	if !expired(c.who(), now) || c.expired.Swap(a) == a {
		return
	}
	c.log().Info().Msg("credentials expired")
	a.conn.Close(transport.CloseCredentialsExpired, "credentials expired")
}

// expired reports whether the credentials of the identity are over.
func expired(id *call.Identity, now time.Time) bool {
	return !id.Expires.IsZero() && !now.Before(id.Expires)
}

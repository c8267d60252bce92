package spoke

import (
	"context"
	"time"

	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/wire"
)

// heartbeat sends signs of life and drops the connection when the hub is silent (protocol section 7). It ends
// with ctx, which is the connection's.
func (se *session) heartbeat(ctx context.Context, c *conn) {
	interval := time.Duration(c.answer.HeartbeatInterval) * time.Millisecond
	if interval == 0 {
		interval = 25 * time.Second
	}
	timeout := se.spoke.opts.HeartbeatTimeout
	limit := interval + timeout
	if c.WholeMessages() { // a message of the largest size may be on its way
		limit += peer.CrossingTime(se.spoke.opts.MaxMessageBytes)
	}
	period := peer.HeartbeatPeriod(interval, timeout)
	// A little before the interval: the hub answers, and need not send by itself.
	h := se.peer.NewHeartbeat(c.Conn, wire.Ping, interval-period, period, time.Now())
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if silent := h.Look(time.Now()); silent >= limit {
			se.log.Warn().Dur("silent", silent).Msg("heartbeat missed")
			c.Abort()
			return
		}
	}
}

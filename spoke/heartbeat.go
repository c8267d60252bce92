package spoke

import (
	"context"
	"time"

	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/wire"
)

// heartbeat sends signs of life and drops the connection when the hub is silent (protocol section 7). It ends
// with ctx, which is the connection's.
func (l *link) heartbeat(ctx context.Context, a *attachment) {
	interval := time.Duration(a.registered.HeartbeatInterval) * time.Millisecond
	if interval == 0 {
		interval = 25 * time.Second
	}
	timeout := l.spoke.opts.HeartbeatTimeout
	patience := interval + timeout
	if a.conn.WholeMessages() { // a message of the largest size may be on its way
		patience += peer.CrossingTime(l.spoke.opts.MaxMessageBytes)
	}
	period := peer.PulsePeriod(interval, timeout)
	// A little before the interval: the hub answers, and need not send by itself.
	pulse := l.peer.NewPulse(a.conn, wire.Ping, interval-period, period, time.Now())
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if silent := pulse.Look(time.Now()); silent >= patience {
			l.spoke.log.Warn().Dur("silent", silent).Msg("heartbeat missed")
			a.conn.Abort()
			return
		}
	}
}

package peer

import (
	"time"

	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/transport"
)

// slowestLink is the rate, in bytes per second, of the slowest link that timeouts of whole messages allow for (protocol
// section 7).
const slowestLink = 16 << 10

// CrossingTime returns how long a message of that many bytes, at most 8 GiB, takes on the slowest link that timeouts allow
// for.
func CrossingTime(bytes int64) time.Duration {
	return time.Duration(min(bytes, 8<<30)) * time.Second / slowestLink
}

// Heartbeat watches over one connection of a session (protocol section 7): it sends a sign of life when this side has
// sent nothing for the interval, and measures how long the other side has been silent. One goroutine uses it.
type Heartbeat struct {
	peer     *Peer
	conn     transport.Conn
	sign     wire.Type // the type of the frame that this side sends
	interval time.Duration
	period   time.Duration // between looks

	sent   uint64    // how many frames had been written at the last look
	sentAt time.Time // when that was last seen to change
	busyAt time.Time // silence counts from then on: when the reader was last seen to handle a frame
	looked time.Time // the last look
}

// NewHeartbeat returns a Heartbeat for the connection, which has just been attached to the peer's session. Sign is
// [wire.Ping] or [wire.Pong], period the time between calls of Look.
func (p *Peer) NewHeartbeat(conn transport.Conn, sign wire.Type, interval, period time.Duration, now time.Time) *Heartbeat {
	return &Heartbeat{peer: p, conn: conn, sign: sign, interval: interval, period: period, sentAt: now, busyAt: now, looked: now}
}

// HeartbeatPeriod is how often to call [Heartbeat.Look]: fine enough for a tenth of either time, at most once per second.
func HeartbeatPeriod(interval, timeout time.Duration) time.Duration {
	return max(min(interval/10, timeout/10, time.Second), 5*time.Millisecond)
}

// Look sends what is due, an acknowledgement that is overdue included, and returns for how long nothing has been
// received. While the reader handles a frame, it does not receive, and the time does not count as silence; nor does the
// time in which this process was suspended, since what came meanwhile has not been read yet.
func (u *Heartbeat) Look(now time.Time) (silent time.Duration) {
	u.allowForSuspension(now)
	u.peer.sess.AckOverdue(now)
	switch n, sending := u.peer.sess.Sent(); {
	case sending || n != u.sent:
		u.sent, u.sentAt = n, now
	case now.Sub(u.sentAt) >= u.interval:
		u.sentAt = now
		_ = u.peer.PostBare(u.sign) // fails only when the session has ended
	}
	if u.peer.handling.Load() {
		u.busyAt = now
		return 0
	}
	return min(now.Sub(u.conn.LastReceived()), now.Sub(u.busyAt))
}

// lateLook is how many periods late a look must be to count as one after a suspension.
const lateLook = 4

// allowForSuspension counts a look that is very late like one that is in time.
func (u *Heartbeat) allowForSuspension(now time.Time) {
	gap := now.Sub(u.looked)
	u.looked = now
	if gap <= lateLook*u.period {
		return
	}
	from := u.busyAt
	if received := u.conn.LastReceived(); received.After(from) {
		from = received
	}
	if from = from.Add(gap - u.period); from.After(now) {
		from = now
	}
	u.busyAt = from
}

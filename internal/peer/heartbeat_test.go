package peer

import (
	"context"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/transport"
)

// heardConn is a connection of which only the time of the last byte matters.
type heardConn struct {
	transport.Conn
	last time.Time
}

func (c *heardConn) LastReceived() time.Time { return c.last }

// A process that was suspended does not take the time for silence of the other side, whose bytes it has not read yet. A
// process that is merely slow still finds out that the other side is silent.
func TestHeartbeatAfterSuspension(t *testing.T) {
	const period, interval = time.Second, 25 * time.Second
	start := time.Now()
	for name, c := range map[string]struct {
		looks    []time.Duration // after the start, of which the last is judged
		received time.Duration
		want     time.Duration
	}{
		"in time":            {looks: []time.Duration{1 * time.Second, 2 * time.Second, 3 * time.Second}, want: 3 * time.Second},
		"late":               {looks: []time.Duration{4 * time.Second, 8 * time.Second}, want: 8 * time.Second},
		"suspended":          {looks: []time.Duration{1 * time.Second, 61 * time.Second}, want: 2 * time.Second},
		"suspended twice":    {looks: []time.Duration{60 * time.Second, 120 * time.Second, 121 * time.Second}, want: 3 * time.Second},
		"and received":       {looks: []time.Duration{1 * time.Second, 61 * time.Second}, received: 60 * time.Second, want: 0},
		"received before":    {looks: []time.Duration{10 * time.Second, 70 * time.Second}, received: 9 * time.Second, want: 1 * time.Second},
		"silence after that": {looks: []time.Duration{60 * time.Second, 61 * time.Second, 62 * time.Second}, want: 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(context.Background(), config{Session: session.New(session.Options{})})
			conn := &heardConn{last: start}
			u := p.NewHeartbeat(conn, wire.Ping, interval, period, start)
			var silent time.Duration
			for _, d := range c.looks {
				if c.received > 0 && d >= c.received {
					conn.last = start.Add(c.received)
				}
				silent = u.Look(start.Add(d))
			}
			if silent != c.want {
				t.Errorf("silent for %v, not %v", silent, c.want)
			}
			p.End(nil)
		})
	}
}

func TestCrossingTime(t *testing.T) {
	for bytes, want := range map[int64]time.Duration{0: 0, 16 << 10: time.Second, 24 << 10: 1500 * time.Millisecond, 1 << 62: 8 << 30 / (16 << 10) * time.Second} {
		if d := CrossingTime(bytes); d != want {
			t.Errorf("%d bytes: %v, not %v", bytes, d, want)
		}
	}
}

package registration

import (
	"sync"
	"time"

	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/transport"
)

// arrival is the time that a registration has to arrive. A connection on which no message is on its way has the timeout,
// counted from the beginning. While a message is on its way, it may send nothing for the timeout, and in all it has the
// time that the largest registration takes to cross the slowest link and the timeout.
type arrival struct {
	conn    transport.Conn
	timeout time.Duration
	last    time.Time // the connection is closed then at the latest

	mu    sync.Mutex // guards the fields below
	timer *time.Timer
	whole time.Time // when the last whole message was read
	over  bool
}

// startArrival returns nil if the limits have no timeout.
func startArrival(conn transport.Conn, l Limits) *arrival {
	if l.Timeout <= 0 {
		return nil
	}
	now := time.Now()
	a := &arrival{conn: conn, timeout: l.Timeout, last: now.Add(l.Timeout + peer.CrossingTime(int64(l.Bytes))), whole: now}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.timer = time.AfterFunc(l.Timeout, a.look)
	return a
}

// read notes that a whole message has been read.
func (a *arrival) read() {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.whole = time.Now()
}

// stop ends the timer: the connection is not closed from then on.
func (a *arrival) stop() {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	a.timer.Stop()
}

func (a *arrival) look() {
	if a.isLate() {
		a.conn.Close(transport.CloseNotRegistered, "no registration in time")
	}
}

func (a *arrival) isLate() bool {
	received := a.conn.LastReceived()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return false
	}
	if received.After(a.whole) { // a message is on its way
		wait := min(time.Until(received.Add(a.timeout)), time.Until(a.last))
		if wait > 0 {
			a.timer.Reset(wait)
			return false
		}
	}
	a.over = true
	return true
}

package pending

import "time"

// deadline is the one timer of a Map. It is set for the nearest deadline that is
// waited for, and looks at all of them when it fires: requests come and go without touching it, since
// most are answered long before their time.
type deadline struct {
	timer *time.Timer
	at    time.Time // zero: not set
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

// armLocked sees to it that the map looks at its deadlines at the given time; zero is no time.
func (m *Map) armLocked(at time.Time) {
	d := &m.deadline
	if at.IsZero() || m.closed != nil || !d.at.IsZero() && !at.Before(d.at) {
		return
	}
	d.at = at
	left := max(time.Until(at), 0)
	if d.timer == nil {
		d.timer = time.AfterFunc(left, m.expire)
	} else {
		d.timer.Reset(left)
	}
}

// expire ends the requests whose time is up and that are waited for. One whose reader
// is elsewhere sees it with its next Next, and may have its answer before.
func (m *Map) expire() {
	m.mu.Lock()
	var told []*Request
	var next time.Time
	now := time.Now()
	m.deadline.at = time.Time{}
	for _, r := range m.requests {
		switch {
		case r.over || r.deadline.IsZero() || !r.waiting && r.taker == nil:
		case now.Before(r.deadline):
			if next.IsZero() || r.deadline.Before(next) {
				next = r.deadline
			}
		default:
			r.endLocked(ErrTimeout)
			if r.taker != nil {
				told = append(told, r)
			}
		}
	}
	m.armLocked(next)
	m.mu.Unlock()
	for _, r := range told {
		r.taker.Take(nil, ErrTimeout)
	}
}

package redisbackplane

import "time"

const (
	// turnPeriod is how often the wheel looks at all links.
	turnPeriod = 250 * time.Millisecond
	// tickPeriod is how often a side says its last number while anything is in flight.
	tickPeriod = time.Second
	// silenceTime ends a link: it is 3 s, less what the wheel may be late.
	silenceTime = 3*time.Second - turnPeriod
)

// pace is when one end of a link speaks, and when it expects to hear. It is
// guarded by the end's mu.
type pace struct {
	busy    func() bool // nil: nothing is ever in flight
	wasBusy bool
	since   time.Time // from when on silence counts
	sent    time.Time // when something was said last
	theirs  time.Time // when the other side said last that something is in flight
}

func (p *pace) heard(now time.Time, busy bool) {
	if busy {
		p.theirs = now
	}
}

// Watch implements [hub.Watched].
func (e *end) Watch(busy func() bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pace.busy = busy
}

// wheelLocked starts the wheel unless it runs.
func (s *station) wheelLocked() {
	if !s.turning && !s.left {
		s.turning = true
		s.wg.Go(s.turn)
	}
}

// turn is the one wheel for all links of a hub. It runs while there are links, or resets that Redis has not taken.
func (s *station) turn() {
	tick := time.NewTicker(turnPeriod)
	defer tick.Stop()
	before := time.Now()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		late := now.Sub(before) > 4*turnPeriod // then this process stood still, and what came meanwhile is unread
		before = now
		all := s.all()
		for _, e := range all {
			e.look(now, late)
		}
		s.out.retry()
		s.mu.Lock()
		if len(s.ends) == 0 && !s.out.owes() {
			s.turning = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
	}
}

// look sends a tick if one is due, and ends a link that is silent though it should not be. An end that is lost, or
// closed by the other side, sends none, even while received frames are unread: a tick would keep the other end alive.
func (e *end) look(now time.Time, late bool) {
	e.mu.Lock()
	ask, ended := e.pace.busy, e.err != nil || e.after != nil
	e.mu.Unlock()
	if ended {
		return
	}
	busy := ask != nil && ask()
	e.mu.Lock()
	p := &e.pace
	switch {
	case late:
		p.since = now
	case busy && !p.wasBusy: // since the last look: with what was sent last, as a rule
		p.since = now.Add(-turnPeriod)
		if p.sent.After(p.since) {
			p.since = p.sent
		}
	}
	p.wasBusy = busy
	heard := p.since
	if e.last.After(heard) {
		heard = e.last
	}
	silent := busy && now.Sub(heard) > silenceTime
	active := busy || now.Sub(p.theirs) < 2*tickPeriod
	due := active && !silent && now.Sub(p.sent) > tickPeriod-turnPeriod/2 && e.err == nil && e.after == nil
	if due {
		p.sent = now
	}
	e.mu.Unlock()
	switch {
	case silent:
		e.s.b.counters.silences.Add(1)
		e.lose(errSilent)
		e.s.inbox.doubt()
	case due && busy:
		e.say(`,"tick":true,"busy":true}`)
	case due:
		e.say(`,"tick":true}`)
	}
}

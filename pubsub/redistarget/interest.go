package redistarget

import "slices"

// interest is what the listeners of one topic want of Redis. All fields are
// guarded by Target.mu. Its link sends one command about it at a time, so that an
// unsubscribe never overtakes:
//
//	          SUBSCRIBE sent           confirmed
//	(idle) ──────────────────► asking ──────────► live ──────────────► leaving ──► (idle)
//	   ▲                                           │  UNSUBSCRIBE sent, the last
//	   └───────────────────────────────────────────┘  listener having gone
//	         the link is lost, or the slot has moved: broken is set
//
// A listener that comes to a live topic has it confirmed once more: what comes
// behind the confirmation was published after the call of Listen, as far as that can be told.
type interest struct {
	topic   string
	channel string
	slot    uint16
	link    *link // nil while no node is known for the slot

	listeners int // admitted or waiting
	waiting   []*admission
	asked     []*admission // those that the SUBSCRIBE under way will admit
	asking    bool
	live      bool
	leaving   bool
	broken    bool // events may have been lost: a gap is told when it is live again
	alone     bool // in a batch it was refused: ask for it by itself
	refused   bool // Redis does not allow it: asked again with the next probe
	queued    bool // in link.todo
}

// needs reports whether a command has to be sent.
func (in *interest) needs() (subscribe, unsubscribe bool) {
	if in.asking || in.leaving {
		return false, false
	}
	if in.listeners == 0 {
		return false, in.live
	}
	return !in.refused && (!in.live || len(in.waiting) > 0), false
}

// idleLocked reports whether it can be forgotten.
func (in *interest) idleLocked() bool {
	return in.listeners == 0 && !in.live && !in.asking && !in.leaving
}

// admitLocked makes those live who wait for the SUBSCRIBE that was confirmed.
func (in *interest) admitLocked() {
	for _, a := range in.asked {
		a.admit()
	}
	in.asked = nil
}

// degradeLocked admits everybody although Redis is not heard: they hear the
// events of this target, and a gap when Redis is back.
func (in *interest) degradeLocked() {
	in.asked = append(in.asked, in.waiting...)
	in.waiting = nil
	in.admitLocked()
	in.asking, in.live, in.leaving = false, false, false
	in.broken, in.refused, in.alone = true, false, false
}

// failLocked gives all who wait an error.
func (in *interest) failLocked(err error) {
	for _, a := range slices.Concat(in.asked, in.waiting) {
		a.fail(err)
	}
	in.asked, in.waiting = nil, nil
}

// interestLocked finds or makes the interest in a topic.
func (t *Target) interestLocked(topic string) *interest {
	if in := t.topics[topic]; in != nil {
		return in
	}
	in := &interest{topic: topic, channel: t.opts.Prefix + topic}
	if t.router == nil {
		in.link = t.only
	} else {
		in.slot = t.router.slot(in.channel)
		t.router.placeLocked(in)
	}
	t.topics[topic] = in
	return in
}

// settleLocked does what an interest needs next: it goes to its link's list, or is forgotten.
func (t *Target) settleLocked(in *interest) {
	if in.idleLocked() {
		if t.topics[in.topic] == in {
			delete(t.topics, in.topic)
		}
		return
	}
	subscribe, unsubscribe := in.needs()
	if in.link == nil || in.queued || !subscribe && !unsubscribe {
		return
	}
	in.queued = true
	in.link.todo = append(in.link.todo, in)
	in.link.wakeUp()
}

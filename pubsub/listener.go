package pubsub

import (
	"runtime"
	"sync"
)

const (
	// What waits at most for one listener of a Local while its fn is busy.
	listenerEvents = 4096
	listenerBytes  = 4 << 20

	// fairShare is how many events a publisher delivers before it may leave the
	// rest to another publisher that happens to be here.
	fairShare = 64

	// A publisher that leaves more work with a busy listener lets others run first:
	// a few times so that it may take over from one that has done its share, often
	// when the next thing would be to drop events.
	yieldsToHelp  = 8
	yieldsToSpare = 256
)

// listener is one subscription on a Local. A publisher that finds it idle calls
// fn itself; one that finds it busy leaves the event and goes, and whoever is
// calling fn takes that event too. So fn runs once at a time, in the order in
// which the events came in, and nobody waits for it: a publisher that is itself
// inside this fn, or inside another that is waiting for this one, goes through.
type listener struct {
	topic string
	fn    func(Event)

	mu       sync.Mutex // guards the fields below
	waiting  backlog
	running  bool // somebody is calling fn
	stopped  bool
	ending   error // the listener ends with this reason when nothing waits; nil while it does not
	served   int   // events delivered by who is running
	visitors int   // publishers that will look once more before they leave
}

func newListener(topic string, fn func(Event)) *listener {
	return &listener{
		topic:   topic,
		fn:      fn,
		waiting: backlog{maxEvents: listenerEvents, maxBytes: listenerBytes},
	}
}

// deliver calls fn with ev, now or when its turn comes.
func (l *listener) deliver(ev Event) {
	l.mu.Lock()
	switch {
	case l.stopped || l.ending != nil:
		l.mu.Unlock()
	case !l.running && l.waiting.empty():
		l.running, l.served = true, 0
		l.mu.Unlock()
		l.run(ev)
	default:
		l.leaveLocked(ev)
		l.yieldLocked()
		l.takeOver()
	}
}

// leaveLocked puts ev in the backlog, or a gap in its place.
func (l *listener) leaveLocked(ev Event) {
	switch {
	case ev.Gap:
		l.waiting.lose(ev.Dropped)
	case l.waiting.fits(len(ev.Payload)):
		l.waiting.push(ev.Payload)
	default:
		l.waiting.lose(1)
	}
}

// yieldLocked lets other goroutines run for as long as the one that is running
// deserves help or the backlog a rest. So publishers that are faster than fn slow
// down before events are dropped. It never waits, since it may be fn itself that
// publishes. It drops the lock meanwhile.
func (l *listener) yieldLocked() {
	l.visitors++
	for i := 0; i < l.yieldsLocked(); i++ {
		l.mu.Unlock()
		runtime.Gosched()
		l.mu.Lock()
	}
	l.visitors--
}

func (l *listener) yieldsLocked() int {
	switch {
	case !l.running:
		return 0
	case l.waiting.count > listenerEvents/2 || l.waiting.bytes > listenerBytes/2:
		return yieldsToSpare
	case l.served >= fairShare:
		return yieldsToHelp
	}
	return 0
}

// takeOver delivers what waits if nobody else is doing so. It is called with
// the lock held and returns without.
func (l *listener) takeOver() {
	if l.running || l.stopped {
		l.mu.Unlock()
		return
	}
	l.running, l.served = true, 0
	ev, ok := l.nextLocked()
	l.mu.Unlock()
	if ok {
		l.run(ev)
	}
}

// run calls fn with ev and then with what came in meanwhile.
func (l *listener) run(ev Event) {
	finished := false
	defer func() {
		// A panic of fn is the publisher's to handle; the listener goes on.
		if !finished {
			l.mu.Lock()
			l.running = false
			l.mu.Unlock()
		}
	}()
	for ok := true; ok; {
		l.fn(ev)
		l.mu.Lock()
		l.served++
		ev, ok = l.nextLocked()
		l.mu.Unlock()
	}
	finished = true
}

// nextLocked takes the next event for whoever is running. With ok false that one
// has to leave: nothing waits, or it has done its share and a visitor will look.
func (l *listener) nextLocked() (ev Event, ok bool) {
	if l.stopped || (l.served >= fairShare && l.visitors > 0) {
		l.running = false
		return Event{}, false
	}
	payload, lost, ok := l.waiting.pop()
	switch {
	case ok && lost.some:
		return Event{Topic: l.topic, Gap: true, Dropped: lost.dropped()}, true
	case ok:
		return Event{Topic: l.topic, Payload: payload}, true
	case l.ending != nil:
		l.stopped = true
		return Event{Topic: l.topic, End: l.ending}, true
	}
	l.running = false
	return Event{}, false
}

// end calls fn a last time, now or after what waits.
func (l *listener) end(reason error) {
	l.mu.Lock()
	if l.ending == nil {
		l.ending = reason
	}
	l.takeOver()
}

// stop ends the listener and reports whether it was the first to do so.
func (l *listener) stop() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return false
	}
	l.stopped = true
	l.waiting.clear()
	return true
}

package pubsub

import "encoding/json"

// keptEntries is how much room an empty backlog keeps; what a burst has made it
// grow to beyond that is given back.
const keptEntries = 64

// loss is a break in the flow: the events missing at one place in the order.
type loss struct {
	some    bool
	unknown bool // count is not all of it
	count   int
}

// add counts n more lost events; 0 or less stands for a number nobody knows.
func (l *loss) add(n int) {
	l.some = true
	if n <= 0 {
		l.unknown = true
		return
	}
	l.count += n
}

func (l *loss) join(other loss) {
	l.some = l.some || other.some
	l.unknown = l.unknown || other.unknown
	l.count += other.count
}

// dropped is the number to tell: 0 when it is not known.
func (l loss) dropped() int {
	if l.unknown {
		return 0
	}
	return l.count
}

// entry is one event that waits, and what was lost just before it.
type entry struct {
	payload json.RawMessage
	before  loss
}

// backlog is a bounded first-in first-out of events with the losses between
// them kept in their place. Losses next to each other become one, so a backlog
// never holds more breaks than events and one. It has no lock of its own.
//
// An event larger than maxBytes is taken when nothing else waits: otherwise a
// small budget would let nothing through at all.
type backlog struct {
	maxEvents int
	maxBytes  int // of payload

	ring  []entry
	head  int
	count int
	bytes int
	after loss // lost after the last event
}

func (b *backlog) empty() bool { return b.count == 0 && !b.after.some }

// fits reports whether an event of size bytes can be pushed.
func (b *backlog) fits(size int) bool {
	return b.count == 0 || (b.count < b.maxEvents && b.bytes+size <= b.maxBytes)
}

// push appends an event that fits.
func (b *backlog) push(payload json.RawMessage) {
	if b.count == len(b.ring) {
		b.grow()
	}
	b.ring[(b.head+b.count)%len(b.ring)] = entry{payload: payload, before: b.after}
	b.after = loss{}
	b.count++
	b.bytes += len(payload)
}

func (b *backlog) grow() {
	ring := make([]entry, max(4, 2*len(b.ring)))
	for i := range b.count {
		ring[i] = b.ring[(b.head+i)%len(b.ring)]
	}
	b.ring, b.head = ring, 0
}

// lose notes n lost events (0: nobody knows how many) at the end.
func (b *backlog) lose(n int) { b.after.add(n) }

// loseOldest turns the first event into a loss in its place.
func (b *backlog) loseOldest() {
	lost := b.shift().before
	lost.add(1)
	next := &b.after
	if b.count > 0 {
		next = &b.ring[b.head].before
	}
	next.join(lost)
}

// pop takes what comes next: a loss, or else an event. With ok false there is
// neither.
func (b *backlog) pop() (payload json.RawMessage, lost loss, ok bool) {
	next := &b.after
	if b.count > 0 {
		next = &b.ring[b.head].before
	}
	if next.some {
		lost, *next = *next, loss{}
		return nil, lost, true
	}
	if b.count == 0 {
		return nil, loss{}, false
	}
	return b.shift().payload, loss{}, true
}

// shift removes the first event.
func (b *backlog) shift() entry {
	e := b.ring[b.head]
	b.ring[b.head] = entry{} // the payload may be large: do not keep it
	b.head = (b.head + 1) % len(b.ring)
	b.count--
	b.bytes -= len(e.payload)
	if b.count == 0 && len(b.ring) > keptEntries {
		b.ring, b.head = nil, 0
	}
	return e
}

// clear forgets everything and gives the memory back.
func (b *backlog) clear() {
	*b = backlog{maxEvents: b.maxEvents, maxBytes: b.maxBytes}
}

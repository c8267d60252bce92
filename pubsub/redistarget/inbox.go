package redistarget

import (
	"encoding/json"
	"sync"

	"github.com/alkdev/hubspoke/pubsub"
)

const (
	// itemBytes is what an item costs besides its texts.
	itemBytes = 128
	// inboxErrors is how many errors wait at most for Options.OnError.
	inboxErrors = 64
	// keptItems is how much room is kept for the next burst.
	keptItems = 1024
)

// item is one thing to hand to the listeners, or to a callback.
type item struct {
	topic   string
	message string          // from Redis, not yet decoded
	payload json.RawMessage // where local
	local   bool
	gap     *gap
	fn      func() // a callback instead of an event
}

func (it *item) size() int { return len(it.topic) + len(it.message) + len(it.payload) + itemBytes }

// gap is a break in a topic's flow; it grows until it is delivered or an event comes behind it.
type gap struct{ dropped int }

// inbox is the one queue between Redis and the listeners. What is put in comes
// out in that order, on one goroutine. It never waits: over its bound, events become gaps.
type inbox struct {
	max     int
	counts  *counters
	deliver func(*item) // called for one item at a time, without a lock

	mu     sync.Mutex // guards the fields below
	filled sync.Cond
	items  []item
	bytes  int    // of items, and of what is being delivered
	next   uint64 // the number of the next item
	open   map[string]*gap
	errors int
	health bool // a change waits to be told
	closed bool

	// current is the number of the item being delivered. It belongs to the
	// goroutine of run.
	current uint64
}

func newInbox(limit int, counts *counters, deliver func(*item)) *inbox {
	in := &inbox{max: limit, counts: counts, deliver: deliver}
	in.filled.L = &in.mu
	return in
}

// message takes what a connection heard, unless the connection has been given up.
func (in *inbox) message(c *conn, topic, message string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !c.dead {
		in.putLocked(item{topic: topic, message: message})
	}
}

// event takes an event that does not come from Redis.
func (in *inbox) event(ev pubsub.Event) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.putLocked(item{topic: ev.Topic, payload: ev.Payload, local: true})
}

func (in *inbox) putLocked(it item) {
	size := it.size()
	if in.bytes > 0 && in.bytes+size > in.max {
		in.counts.dropped.Add(1)
		if g := in.open[it.topic]; g != nil {
			g.dropped++
			return
		}
		in.gapLocked(it.topic, 1)
		return
	}
	if len(in.open) > 0 {
		delete(in.open, it.topic)
	}
	in.bytes += size
	in.appendLocked(it)
}

func (in *inbox) appendLocked(it item) {
	if in.closed {
		return
	}
	in.items = append(in.items, it)
	in.next++
	if len(in.items) == 1 {
		in.filled.Signal()
	}
}

// gap puts a break into a topic's flow: dropped events, 0 if nobody knows.
func (in *inbox) gap(topic string, dropped int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.gapLocked(topic, dropped)
}

func (in *inbox) gapLocked(topic string, dropped int) {
	g := &gap{dropped: dropped}
	if dropped > 0 {
		if in.open == nil {
			in.open = make(map[string]*gap)
		}
		in.open[topic] = g
	}
	in.counts.gaps.Add(1)
	in.bytes += itemBytes + len(topic)
	in.appendLocked(item{topic: topic, gap: g})
}

// error has fn called, unless too many errors wait already.
func (in *inbox) error(fn func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.errors >= inboxErrors {
		return
	}
	in.errors++
	in.bytes += itemBytes
	in.appendLocked(item{fn: func() {
		in.mu.Lock()
		in.errors--
		in.mu.Unlock()
		fn()
	}})
}

// changed has fn called once for all changes until then.
func (in *inbox) changed(fn func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.health {
		return
	}
	in.health = true
	in.bytes += itemBytes
	in.appendLocked(item{fn: func() {
		in.mu.Lock()
		in.health = false
		in.mu.Unlock()
		fn()
	}})
}

// now is the number from which on items are those put in after this call.
func (in *inbox) now() uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.next
}

// kill gives a connection up: nothing that it still says is taken.
func (in *inbox) kill(c *conn) {
	in.mu.Lock()
	defer in.mu.Unlock()
	c.dead = true
}

func (in *inbox) queued() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.bytes
}

// run delivers until the inbox is closed.
func (in *inbox) run() {
	var batch []item
	for {
		in.mu.Lock()
		for len(in.items) == 0 && !in.closed {
			in.filled.Wait()
		}
		if in.closed {
			in.mu.Unlock()
			return
		}
		first := in.next - uint64(len(in.items))
		batch, in.items = in.items, batch[:0]
		clear(in.open) // what is lost from here on is a gap behind this batch
		in.mu.Unlock()
		for i := range batch {
			in.current = first + uint64(i)
			if !in.one(&batch[i]) {
				return
			}
		}
		if cap(batch) > keptItems {
			batch = nil
		}
	}
}

func (in *inbox) one(it *item) (goOn bool) {
	in.deliver(it)
	size := it.size()
	*it = item{} // the payload may be large: do not keep it
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return false
	}
	in.bytes -= size
	return true
}

// close drops what waits and ends run after the item that it is delivering.
func (in *inbox) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed, in.items, in.open, in.bytes = true, nil, nil, 0
	in.filled.Broadcast()
}

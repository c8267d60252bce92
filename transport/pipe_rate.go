package transport

import "time"

// transit is what is on its way to a pipeEnd over a link of limited rate.
type transit struct {
	items   []pipeItem
	crossed int         // bytes of the first item that have arrived
	arrived int         // bytes of items that have arrived and have not been read
	timer   *time.Timer // made once
	step    int         // bytes that arrive when the timer fires; 0: it does not run
}

// moveSteps is how many times per second bytes arrive.
const moveSteps = 20

// size is what the item counts on the wire.
func (i *pipeItem) size() int {
	switch i.kind {
	case opText:
		return len(*i.data) + pipeOverhead
	case opClose:
		return 8 + len(i.end.Reason)
	default:
		return 6
	}
}

// move starts the timer for the next bytes, if there are any and this end takes them.
func (e *pipeEnd) move() {
	t := &e.transit
	full := !e.reading && t.arrived+t.crossed >= e.buffer
	if t.step > 0 || len(t.items) == 0 || full || e.end != nil {
		return
	}
	t.step = min(max(e.rate/moveSteps, 1), t.items[0].size()-t.crossed)
	d := time.Duration(t.step) * time.Second / time.Duration(e.rate)
	if t.timer == nil {
		t.timer = time.AfterFunc(d, e.moved)
	} else {
		t.timer.Reset(d)
	}
}

// moved is called when bytes have arrived.
func (e *pipeEnd) moved() {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := &e.transit
	if e.end != nil || t.step == 0 {
		return
	}
	t.crossed += t.step
	now := time.Now()
	if e.reading {
		e.last = now
	}
	e.flowed, e.peer.flowed = now, now
	item := t.items[0]
	if item.kind == opText {
		e.inBytes -= t.step
		e.room.Broadcast()
	}
	t.step = 0
	if t.crossed == item.size() {
		t.items, t.crossed = t.items[1:], 0
		if item.kind == opText {
			t.arrived += item.size()
		}
		e.in = append(e.in, item)
		e.readable.Signal()
	}
	e.move()
}

// startReading notes that a Read is in progress: bytes that arrive are received.
func (e *pipeEnd) startReading() {
	e.reading = true
	if e.rate == 0 {
		return
	}
	if e.transit.crossed > 0 {
		e.last = time.Now()
	}
	e.move()
}

// taken notes that a message has been read.
func (e *pipeEnd) taken(item pipeItem) {
	if e.rate == 0 {
		e.inBytes -= item.size()
		e.room.Broadcast()
		return
	}
	e.transit.arrived -= item.size()
	e.move()
}

// drop ends the transit with its end.
func (t *transit) drop() {
	if t.timer != nil {
		t.timer.Stop()
	}
	for _, item := range t.items {
		putBuffer(item.data)
	}
	t.items, t.step = nil, 0
}

package session

import (
	"fmt"
	"slices"
	"testing"
)

// The bounds of what is explored. Cuts are unbounded: the states are finite.
const (
	modelFrames = 2 // in each direction
	modelWire   = 2 // items on their way in each direction
)

// The two ends, and the directions by who receives.
const (
	atSpoke = iota
	atHub
)

// world is a state of two sides and the wires between them. A connection is lost
// at each side when that side sees it.
type world struct {
	sides    [2]side
	posted   [2]int8
	dropped  [2]int8 // the id that was withdrawn, 0: none
	attached [2]bool
	received [2]int8   // counted frames that have arrived there
	got      [2][]int8 // their ids
	noted    [2]int8   // the last count in an __ack
	wire     [2][]int8 // on their way there, on the connection that this side reads
	asked    int8      // a registration is on its way with this count; -1: none
	answer   int8      // its answer is on its way with this one; -1: none
	broken   string    // what must not be
}

func newWorld(spoke, hub side) *world {
	return &world{sides: [2]side{spoke, hub}, attached: [2]bool{true, true}, asked: -1, answer: -1}
}

func (w *world) clone() *world {
	c := *w
	for i := range c.sides {
		c.sides[i] = w.sides[i].(*rules).clone()
		c.got[i], c.wire[i] = slices.Clone(w.got[i]), slices.Clone(w.wire[i])
	}
	return &c
}

// key distinguishes states.
func (w *world) key() string {
	var k []byte
	list := func(items []int8) { k = append(append(k, byte(len(items))), asBytes(items)...) }
	for i, s := range w.sides {
		r := s.(*rules)
		list(r.sent)
		list(r.queue)
		list(w.wire[i])
		attached := byte(0)
		if w.attached[i] {
			attached = 1
		}
		k = append(k, byte(r.again), byte(r.has), byte(w.posted[i]), byte(w.dropped[i]), attached, byte(w.received[i]), byte(w.noted[i]))
	}
	return string(append(k, byte(w.asked), byte(w.answer)))
}

// step is something that happens, at one end or on the way to it.
type step struct {
	what string
	at   int
}

var steps = []string{"post", "withdraw", "ack", "write", "deliver", "lose", "register", "admit", "welcome"}

// do does a step; it is false where it cannot happen.
func (w *world) do(s step) bool {
	me, other := s.at, 1-s.at
	switch s.what {
	case "post":
		if w.posted[me] == modelFrames {
			return false
		}
		w.posted[me]++
		w.sides[me].post(w.posted[me])
	case "withdraw":
		if w.dropped[me] != 0 || w.posted[me] == 0 || !w.sides[me].withdraw(w.posted[me]) {
			return false
		}
		w.dropped[me] = w.posted[me]
	case "ack":
		if !w.attached[me] || w.noted[me] == w.received[me] {
			return false
		}
		w.noted[me] = w.received[me]
		w.sides[me].ack(w.received[me])
	case "write":
		return w.write(me, other)
	case "deliver":
		return w.deliver(me)
	case "lose":
		return w.lose(me)
	default:
		return w.handshake(s)
	}
	return true
}

func (w *world) write(me, other int) bool {
	if !w.attached[me] || len(w.wire[other]) == modelWire {
		return false
	}
	item := w.sides[me].write()
	if item == 0 {
		return false
	}
	if w.reads(other) {
		w.wire[other] = append(w.wire[other], item)
	}
	return true
}

// reads reports whether what is written now can still arrive: this side has not
// lost the connection, or waits for the answer on it.
func (w *world) reads(me int) bool { return w.attached[me] || me == atSpoke && w.answer >= 0 }

func (w *world) deliver(me int) bool {
	if !w.attached[me] || len(w.wire[me]) == 0 {
		return false
	}
	item := w.wire[me][0]
	w.wire[me] = w.wire[me][1:]
	if item < 0 {
		if !w.sides[me].acked(-1 - item) {
			w.broken = "an __ack is over what was sent"
		}
		return true
	}
	w.received[me]++
	w.got[me] = append(w.got[me], item)
	return true
}

// lose: this side sees that its connection is gone, with what was on the way to
// it; what is on the way from it can still arrive.
func (w *world) lose(me int) bool {
	if !w.attached[me] && (me == atHub || w.asked < 0 && w.answer < 0) {
		return false
	}
	if w.attached[me] {
		w.sides[me].detach()
	}
	w.attached[me], w.wire[me] = false, nil
	if me == atSpoke {
		w.asked, w.answer = -1, -1
	}
	return true
}

func (w *world) handshake(s step) bool {
	switch {
	case s.what == "register" && s.at == atSpoke:
		if w.attached[atSpoke] || w.asked >= 0 || w.answer >= 0 {
			return false
		}
		w.asked = w.received[atSpoke]
	case s.what == "admit" && s.at == atHub:
		if w.asked < 0 {
			return false
		}
		w.lose(atHub) // closes the old connection and waits for its reader
		if !w.sides[atHub].resume(w.asked) {
			w.broken = "the hub refuses the spoke's count"
		}
		w.noted[atHub] = w.received[atHub]
		w.attached[atHub], w.wire[atSpoke] = true, nil
		w.asked, w.answer = -1, w.received[atHub]
	case s.what == "welcome" && s.at == atSpoke:
		if w.answer < 0 {
			return false
		}
		if !w.sides[atSpoke].resume(w.answer) {
			w.broken = "the spoke refuses the hub's count"
		}
		w.noted[atSpoke] = w.received[atSpoke]
		w.attached[atSpoke], w.wire[atHub], w.answer = true, nil, -1
	default:
		return false
	}
	return true
}

// check returns what is wrong with the state.
func (w *world) check() string {
	for me := range w.sides {
		var want []int8
		for id := int8(1); id <= w.posted[1-me]; id++ {
			if id != w.dropped[1-me] {
				want = append(want, id)
			}
		}
		if got := w.got[me]; len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
			return fmt.Sprintf("side %d got %v of %v", me, got, want)
		}
	}
	return w.broken
}

// done: all that was posted, and can be, has arrived and is known to have.
func (w *world) done() bool {
	return w.posted == [2]int8{modelFrames, modelFrames} && len(w.sides[0].held())+len(w.sides[1].held()) == 0
}

// state is a world and a shortest way to it.
type state struct {
	w    *world
	path []step
	from []int // the states that lead here
}

// Every order of sends, withdrawals, acks, deliveries, losses seen by either side, and resumptions, cut at any
// point: what was sent arrives once and in order, the counts agree, and from everywhere there is a way to
// the end. The real queue does the same.
func TestEveryOrderOfEvents(t *testing.T) {
	start := newWorld(&rules{}, &rules{})
	all, index := []*state{{w: start}}, map[string]int{start.key(): 0}
	ways := 0
	for i := 0; i < len(all); i++ {
		for k := range 2 * len(steps) {
			s := step{steps[k/2], k % 2}
			next := all[i].w.clone()
			if !next.do(s) {
				continue
			}
			ways++
			path := append(slices.Clip(slices.Clone(all[i].path)), s)
			if wrong := next.check(); wrong != "" {
				t.Fatalf("%s after %v", wrong, path)
			}
			key := next.key()
			_, known := index[key]
			if !known || ways%5 == 0 { // each state by one way, and some by more
				replay(t, path, next)
			}
			if !known {
				index[key] = len(all)
				all = append(all, &state{w: next, path: path})
			}
			all[index[key]].from = append(all[index[key]].from, i)
		}
	}
	if i := slices.Index(leadToTheEnd(all), false); i >= 0 {
		t.Errorf("no way to the end after %v", all[i].path)
	}
	t.Logf("%d states, %d ways, the longest of %d steps", len(all), ways, len(all[len(all)-1].path))
}

// leadToTheEnd reports for each state whether there is a way from it to one where all is done.
func leadToTheEnd(all []*state) []bool {
	reached := make([]bool, len(all))
	var todo []int
	for i, s := range all {
		if s.w.done() {
			reached[i], todo = true, append(todo, i)
		}
	}
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, j := range all[i].from {
			if !reached[j] {
				reached[j], todo = true, append(todo, j)
			}
		}
	}
	return reached
}

// replay takes the real queue the same way and compares.
func replay(t *testing.T, path []step, want *world) {
	w := newWorld(newQueueSide(), newQueueSide())
	for i, s := range path {
		if !w.do(s) {
			t.Fatalf("the queue does not do the last of %v", path[:i+1])
		}
	}
	if wrong := w.check(); wrong != "" {
		t.Fatalf("the queue: %s after %v", wrong, path)
	}
	for me := range w.sides {
		if !slices.Equal(w.wire[me], want.wire[me]) || w.received[me] != want.received[me] || !sameHeld(w.sides[me], want.sides[me]) {
			t.Fatalf("side %d: on the wire %v, want %v; %d received, want %d; held %v, want %v; after %v", me, w.wire[me], want.wire[me],
				w.received[me], want.received[me], w.sides[me].held(), want.sides[me].held(), path)
		}
	}
}

package pubsub

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// simple is what a backlog should do, without any cleverness: a list in which a
// number is an event and a "lost" is a loss.
type simple struct {
	list   []string
	losses []loss // of the entries that are "lost"
}

func (s *simple) lose(at int, l loss) {
	// Next to another loss it becomes one with it.
	for _, i := range []int{at - 1, at} {
		if i >= 0 && i < len(s.list) && s.list[i] == "lost" {
			s.losses[i].join(l)
			return
		}
	}
	s.list = slices.Insert(s.list, at, "lost")
	s.losses = slices.Insert(s.losses, at, l)
}

func (s *simple) remove(at int) {
	s.list = slices.Delete(s.list, at, at+1)
	s.losses = slices.Delete(s.losses, at, at+1)
}

func (s *simple) loseOldest() {
	at := slices.IndexFunc(s.list, func(e string) bool { return e != "lost" })
	s.remove(at)
	lost := loss{some: true, count: 1}
	if at < len(s.list) && at > 0 && s.list[at] == "lost" {
		lost.join(s.losses[at]) // the losses on both sides meet
		s.remove(at)
	}
	s.lose(at, lost)
}

func (s *simple) size() (events, bytes int) {
	for _, e := range s.list {
		if e != "lost" {
			events++
			bytes += len(e)
		}
	}
	return events, bytes
}

func TestBacklogAgainstAList(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4, rand.Uint64()}
	for _, seed := range seeds {
		random := rand.New(rand.NewPCG(seed, 0))
		b := backlog{maxEvents: 1 + random.IntN(12), maxBytes: 1 + random.IntN(40)}
		var s simple
		for step := range 3000 {
			backlogStep(t, random, &b, &s, step)
			events, bytes := s.size()
			if b.count != events || b.bytes != bytes || b.empty() != (len(s.list) == 0) {
				t.Fatalf("seed %d step %d: %d events, %d bytes, empty %t; want %d, %d, %t",
					seed, step, b.count, b.bytes, b.empty(), events, bytes, len(s.list) == 0)
			}
			if events > b.maxEvents || (events > 1 && bytes > b.maxBytes) {
				t.Fatalf("seed %d step %d: %d events, %d bytes are over the bound", seed, step, events, bytes)
			}
		}
	}
}

// backlogStep does the same random thing to both.
func backlogStep(t *testing.T, random *rand.Rand, b *backlog, s *simple, step int) {
	t.Helper()
	switch n := random.IntN(10); {
	case n < 5:
		payload := fmt.Sprint(step)
		for !b.fits(len(payload)) {
			if random.IntN(2) == 0 {
				return
			}
			b.loseOldest()
			s.loseOldest()
		}
		b.push(json.RawMessage(payload))
		s.list, s.losses = append(s.list, payload), append(s.losses, loss{})
	case n < 6:
		lost := random.IntN(3)
		b.lose(lost)
		var l loss
		l.add(lost)
		s.lose(len(s.list), l)
	default:
		payload, lost, ok := b.pop()
		if ok != (len(s.list) > 0) {
			t.Fatalf("step %d: pop says %t with %q in the list", step, ok, s.list)
		}
		if !ok {
			return
		}
		want, wantLost := s.list[0], s.losses[0]
		s.remove(0)
		if lost != wantLost || lost.dropped() != wantLost.dropped() || (!lost.some && string(payload) != want) {
			t.Fatalf("step %d: popped %q, %+v, want %q, %+v", step, payload, lost, want, wantLost)
		}
	}
}

func TestBacklogGivesMemoryBack(t *testing.T) {
	b := backlog{maxEvents: 1000, maxBytes: 1 << 20}
	for range 1000 {
		b.push(json.RawMessage("1"))
	}
	for !b.empty() {
		b.pop()
	}
	if len(b.ring) > keptEntries {
		t.Errorf("an empty backlog keeps room for %d events", len(b.ring))
	}
}

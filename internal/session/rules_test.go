package session

import (
	"bytes"
	"fmt"
	"slices"
)

// side is one end's queue as the model sees it: the rules of protocol section 8, or the real queue.
type side interface {
	post(id int8)              // a counted frame
	ack(received int8)         // an __ack, which belongs to the current connection
	withdraw(id int8) bool     // takes back what was never written
	write() (item int8)        // hands the next item to the connection; 0 if there is none
	acked(n int8) bool         // false: it cannot be
	detach()                   // the connection is lost
	resume(received int8) bool // false: it cannot be
	held() []int8              // the ids that it would have to send again or for the first time
}

// rules is section 8 in as few words as can be. Items on the wire are ids, from 1, and
// acks: -1 - received. It is copied by value when states are explored.
type rules struct {
	sent  []int8 // ids by number
	again int    // the next of them to write
	has   int8   // the other side has this many
	queue []int8 // never written
}

func (r *rules) clone() *rules {
	return &rules{slices.Clone(r.sent), r.again, r.has, slices.Clone(r.queue)}
}

func (r *rules) post(id int8)      { r.queue = append(r.queue, id) }
func (r *rules) ack(received int8) { r.queue = append(r.queue, -1-received) }

func (r *rules) withdraw(id int8) bool {
	i := slices.Index(r.queue, id)
	if i < 0 {
		return false
	}
	r.queue = slices.Delete(r.queue, i, i+1)
	return true
}

func (r *rules) write() int8 {
	if r.again < len(r.sent) {
		r.again++
		return r.sent[r.again-1]
	}
	if len(r.queue) == 0 {
		return 0
	}
	item := r.queue[0]
	r.queue = r.queue[1:]
	if item > 0 {
		r.sent = append(r.sent, item)
		r.again++
	}
	return item
}

func (r *rules) acked(n int8) bool {
	if int(n) > len(r.sent) {
		return false
	}
	r.has = max(r.has, n)
	return true
}

func (r *rules) detach() {
	r.queue = slices.DeleteFunc(r.queue, func(item int8) bool { return item < 0 })
	r.again = int(r.has)
}

func (r *rules) resume(received int8) bool {
	if int(received) > len(r.sent) || received < r.has {
		return false
	}
	r.has, r.again = received, int(received)
	r.queue = slices.DeleteFunc(r.queue, func(item int8) bool { return item < 0 })
	return true
}

func (r *rules) held() []int8 {
	return slices.DeleteFunc(slices.Concat(r.sent[r.has:], r.queue), func(item int8) bool { return item < 0 })
}

// queueSide is the real queue, used as Session uses it.
type queueSide struct {
	l         queue
	positions map[int8]uint64
}

func newQueueSide() *queueSide { return &queueSide{positions: map[int8]uint64{}} }

func (s *queueSide) post(id int8) {
	s.positions[id] = s.l.append(Control, &Buffer{B: []byte{byte(id)}, shared: true})
}

func (s *queueSide) ack(received int8) {
	s.l.append(Uncounted, &Buffer{B: []byte{byte(-1 - received)}, shared: true})
}

func (s *queueSide) withdraw(id int8) bool { return s.l.withdraw(s.positions[id]) }

func (s *queueSide) write() int8 {
	batch := s.l.take(nil, 1)
	s.l.wrote(false)
	if len(batch) == 0 {
		return 0
	}
	return int8(batch[0][0])
}

func (s *queueSide) acked(n int8) bool {
	if uint64(n) > s.l.numbered {
		return false
	}
	s.l.acked = max(s.l.acked, uint64(n))
	s.l.trim()
	return true
}

func (s *queueSide) detach() { s.l.rewind() }

func (s *queueSide) resume(received int8) bool {
	if uint64(received) > s.l.numbered || uint64(received) < s.l.acked {
		return false
	}
	s.l.acked = uint64(received)
	s.l.rewind()
	return true
}

func (s *queueSide) held() (out []int8) {
	if wrong := miscounted(&s.l); wrong != "" {
		panic(wrong)
	}
	for p := s.l.first; p < s.l.end(); p++ {
		e := s.l.at(p)
		if e.buf == nil {
			continue
		}
		if e.kind != Uncounted && (e.number == 0 || e.number > s.l.acked) {
			out = append(out, int8(e.buf.B[0]))
		}
	}
	return out
}

// miscounted returns which of a queue's counts differ from what it holds; empty if none do.
func miscounted(q *queue) string {
	want := queue{}
	for p := q.first; p < q.end(); p++ {
		e := q.at(p)
		if e.buf == nil {
			continue
		}
		n := len(e.buf.B)
		want.bytes += n
		if p >= q.written {
			want.pending += n
		}
		if e.kind == event {
			want.heldEvents += n
			if e.number == 0 {
				want.eventBytes += n
			}
		}
	}
	counts := func(q *queue) string {
		return fmt.Sprintf("%d bytes, %d to be written; events: %d bytes, %d to be written", q.bytes, q.pending, q.heldEvents, q.eventBytes)
	}
	if got, want := counts(q), counts(&want); got != want {
		return "the queue counts " + got + "; it holds " + want
	}
	return ""
}

func sameHeld(a, b side) bool {
	x, y := a.held(), b.held()
	return bytes.Equal(asBytes(x), asBytes(y))
}

func asBytes(items []int8) []byte {
	out := make([]byte, len(items))
	for i, item := range items {
		out[i] = byte(item)
	}
	return out
}

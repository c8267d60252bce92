package session

import (
	"maps"

	"github.com/alkdev/hubspoke/internal/wire"
)

// skipFrame is sent under the number of one that is no longer needed (protocol section 8).
var skipFrame = wire.AppendBare(nil, wire.Skip)

// keptErrorBytes is the largest size of an error that is sent as it is: it delays nothing, and reports more exactly
// whether the handler can have run.
const keptErrorBytes = 1 << 10

// abandoned is what replaces a frame when its connection is lost.
type abandoned uint8

const (
	needed      abandoned = iota
	skipped               // __skip
	answersLast           // the terminal frame of a request that was aborted
)

// answerIndex finds the frames that answer a request. Only Abandon extends it, so sessions without aborted requests pay
// nothing; others pay once for each frame.
type answerIndex struct {
	last map[string]uint64 // the position of the last frame, by the quoted id; entry.before leads to the others
	end  uint64            // the frames below this position are in it
}

// extend adds the frames of the queue that are not in the index.
func (x *answerIndex) extend(q *queue) {
	if x.last == nil {
		x.last = make(map[string]uint64)
	}
	for p := max(x.end, q.first); p < q.end(); p++ {
		e := q.at(p)
		if e.buf == nil {
			continue
		}
		id, _ := wire.Answered(e.buf.B)
		if id == nil {
			continue
		}
		if before, ok := x.last[string(id)]; ok && before >= q.first {
			e.before = uint32(p - before) //nolint:gosec // a queue has far fewer frames
		}
		x.last[string(id)] = p
	}
	x.end = q.end()
	if len(x.last) > 64+2*q.len() {
		maps.DeleteFunc(x.last, func(_ string, p uint64) bool { return p < q.first })
	}
}

// Abandon drops the frames that answer a request which was aborted, with its id as [wire.QuotedID] returns it. A frame
// that has never been written is taken back; one that has a number is replaced by __skip under its number: immediately
// if this connection has not had it, otherwise if the other side lacks it at the next resumption. A terminal frame is
// replaced by ABORTED instead. Open reports whether the request is a stream in flight, so that no response is terminal.
// Abandon reports whether there was a frame.
func (s *Session) Abandon(id []byte, open bool) (found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		return false
	}
	s.index.extend(&s.queue)
	p, more := s.index.last[string(id)]
	delete(s.index.last, string(id)) // what is appended later starts a new chain: no frame is visited twice
	for last := !open; more && p >= s.queue.first; {
		e := s.queue.at(p)
		if e.buf != nil {
			if _, t := wire.Answered(e.buf.B); t != wire.Failed || len(e.buf.B) > keptErrorBytes {
				s.queue.abandon(p, id, t != wire.Responded || last)
			}
			found, last = true, false
		}
		more = e.before > 0
		p -= uint64(e.before)
	}
	s.settleLocked()
	return found
}

// abandon replaces the frame at p, which answers the request with the id, or takes it back.
func (q *queue) abandon(p uint64, id []byte, terminal bool) {
	e := q.at(p)
	switch {
	case p < q.written && terminal: // a Write has it, or has had it
		e.abandoned = answersLast
	case p < q.written:
		e.abandoned = skipped
	case terminal:
		q.swap(p, left(id))
	case !q.withdraw(p):
		q.swap(p, Shared(skipFrame))
	}
}

// replaceAbandoned replaces the frame at p if it was abandoned after it had been written.
func (q *queue) replaceAbandoned(p uint64) {
	e := q.at(p)
	switch {
	case e.buf == nil:
	case e.abandoned == answersLast:
		id, _ := wire.Answered(e.buf.B)
		q.swap(p, left(id))
	case e.abandoned == skipped:
		q.swap(p, Shared(skipFrame))
	}
	e.abandoned = needed
}

// left returns the terminal frame of a request whose caller has left.
func left(quotedID []byte) *Buffer {
	b := NewBuffer(0)
	b.B = wire.AppendFailedTo(b.B, quotedID, &wire.Left)
	return b
}

package session

import (
	"bytes"
	"hash/maphash"
	"maps"

	"github.com/alkdev/hubspoke/internal/wire"
)

// skipFrame is sent under the number of one that is no longer needed (protocol section 8).
var skipFrame = wire.AppendBare(nil, wire.Skip)

// keptErrorBytes is the largest size of an error that is sent as it is: it delays nothing, and reports more exactly
// whether the handler can have run.
const keptErrorBytes = 1 << 10

// left returns the terminal frame of a request whose caller has left; see [wire.QuotedID].
func left(quotedID []byte) *Buffer {
	b := NewBuffer()
	b.B = wire.AppendFailedTo(b.B, quotedID, &wire.Left)
	return b
}

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
	seed maphash.Seed
	last map[uint64]uint64 // the position of the last frame, by the hash of the id; entry.before leads to the others
	end  uint64            // the frames below this position are in it
}

// Abandon drops the frames that answer a request which was aborted, with its id as [wire.QuotedID] returns it. A frame
// that has never been written is taken back; one that has a number is replaced by __skip under its number: immediately
// if no Write has it, else if the other side lacks it at the next resumption. A terminal frame is replaced by ABORTED
// instead. Open reports whether the request is a stream in flight, so that no response is terminal. Abandon reports
// whether there was a frame.
func (s *Session) Abandon(id []byte, open bool) (found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		return false
	}
	s.indexLocked()
	hash := maphash.Bytes(s.index.seed, id)
	p, more := s.index.last[hash]
	delete(s.index.last, hash) // what is appended later starts a new chain: no frame is visited twice
	for last := !open; more && p >= s.queue.first; {
		e := s.queue.at(p)
		if e.buf != nil {
			if of, t := wire.Answered(e.buf.B); bytes.Equal(of, id) {
				if t != wire.Failed || len(e.buf.B) > keptErrorBytes {
					s.abandonLocked(p, id, t != wire.Responded || last)
				}
				found, last = true, false
			}
		}
		more = e.before > 0
		p -= uint64(e.before)
	}
	s.account()
	s.wakeLocked()
	return found
}

// indexLocked extends the index to the end of the queue.
func (s *Session) indexLocked() {
	x := &s.index
	if x.last == nil {
		x.seed, x.last = maphash.MakeSeed(), make(map[uint64]uint64)
	}
	for p := max(x.end, s.queue.first); p < s.queue.end(); p++ {
		e := s.queue.at(p)
		if e.buf == nil || e.kind != counted {
			continue
		}
		id, _ := wire.Answered(e.buf.B)
		if id == nil {
			continue
		}
		hash := maphash.Bytes(x.seed, id)
		if before, ok := x.last[hash]; ok && before >= s.queue.first {
			e.before = uint32(p - before) //nolint:gosec // a queue has far fewer frames
		}
		x.last[hash] = p
	}
	x.end = s.queue.end()
	if len(x.last) > 64+2*(len(s.queue.entries)-s.queue.head) {
		maps.DeleteFunc(x.last, func(_, p uint64) bool { return p < s.queue.first })
	}
}

func (s *Session) abandonLocked(p uint64, id []byte, terminal bool) {
	e := s.queue.at(p)
	switch {
	case p < s.queue.written: // a Write has it, or has had it
		if s.opts.Resumable {
			s.abandoned = true
			e.abandoned = skipped
			if terminal {
				e.abandoned = answersLast
			}
		}
	case terminal:
		s.queue.swap(p, left(id))
	case s.queue.withdraw(p):
		s.withdrawn++
	default:
		s.queue.swap(p, Shared(skipFrame))
	}
}

// replaceAbandonedLocked replaces what the other side may lack, after the queue was rewound.
func (s *Session) replaceAbandonedLocked() {
	if !s.abandoned {
		return
	}
	s.abandoned = false
	for p := s.queue.first; p < s.queue.end(); p++ {
		e := s.queue.at(p)
		if e.buf != nil && e.abandoned == answersLast {
			id, _ := wire.Answered(e.buf.B)
			s.queue.swap(p, left(id))
		} else if e.buf != nil && e.abandoned == skipped {
			s.queue.swap(p, Shared(skipFrame))
		}
		e.abandoned = needed
	}
}

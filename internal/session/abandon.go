package session

import (
	"bytes"
	"hash/maphash"
	"maps"

	"github.com/alkdev/hubspoke/transport"
)

// TypeSkip is the frame that is sent under the number of one that is no longer needed (protocol section 8).
const TypeSkip = "__skip"

var skipFrame = transport.AppendFrame(nil, TypeSkip, nil)

// Answers reads and makes the frames that answer requests. An id is in the notation of the frames. Its functions must not block
// nor call the session.
type Answers struct {
	// Request returns the id of the request that the frame answers, and whether the frame is terminal for a stream too; nil if
	// the frame answers none.
	Request func(frame []byte) (id []byte, terminal bool)
	// Aborted returns the terminal frame of a request that was aborted.
	Aborted func(id []byte) *Buffer
}

// abandoned says what replaces a frame when its connection is lost.
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

// Abandon drops the frames that answer a request which was aborted. A frame that has never been written is taken back; one
// that has a number is replaced by [TypeSkip] under its number: immediately if no Write has it, else if the other side lacks
// it at the next resumption. A terminal frame is replaced by [Answers.Aborted] instead. Open says that the request is a stream in
// flight, so that no response is terminal. Abandon reports whether there was a frame.
func (s *Session) Abandon(id []byte, open bool) (found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil || s.opts.Answers.Request == nil {
		return false
	}
	s.indexLocked()
	hash := maphash.Bytes(s.index.seed, id)
	p, more := s.index.last[hash]
	delete(s.index.last, hash) // what is appended later starts a new chain: no frame is visited twice
	for last := !open; more && p >= s.log.first; {
		e := s.log.at(p)
		if e.buf != nil {
			if of, terminal := s.opts.Answers.Request(e.buf.B); bytes.Equal(of, id) {
				s.abandonLocked(p, id, terminal || last)
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

// indexLocked extends the index to the end of the log.
func (s *Session) indexLocked() {
	x := &s.index
	if x.last == nil {
		x.seed, x.last = maphash.MakeSeed(), make(map[uint64]uint64)
	}
	for p := max(x.end, s.log.first); p < s.log.end(); p++ {
		e := s.log.at(p)
		if e.buf == nil || e.kind != counted {
			continue
		}
		id, _ := s.opts.Answers.Request(e.buf.B)
		if id == nil {
			continue
		}
		hash := maphash.Bytes(x.seed, id)
		if before, ok := x.last[hash]; ok && before >= s.log.first {
			e.before = uint32(p - before) //nolint:gosec // a log has far fewer frames
		}
		x.last[hash] = p
	}
	x.end = s.log.end()
	if len(x.last) > 64+2*(len(s.log.entries)-s.log.head) {
		maps.DeleteFunc(x.last, func(_, p uint64) bool { return p < s.log.first })
	}
}

func (s *Session) abandonLocked(p uint64, id []byte, terminal bool) {
	e := s.log.at(p)
	switch {
	case p < s.log.written: // a Write has it, or has had it
		if s.opts.Resumable {
			s.abandoned = true
			e.abandoned = skipped
			if terminal {
				e.abandoned = answersLast
			}
		}
	case terminal:
		s.log.swap(p, s.opts.Answers.Aborted(id))
	case s.log.withdraw(p):
		s.withdrawn++
	default:
		s.log.swap(p, Shared(skipFrame))
	}
}

// replaceAbandonedLocked replaces what the other side may lack, after the log was rewound.
func (s *Session) replaceAbandonedLocked() {
	if !s.abandoned {
		return
	}
	s.abandoned = false
	for p := s.log.first; p < s.log.end(); p++ {
		e := s.log.at(p)
		if e.buf != nil && e.abandoned == answersLast {
			id, _ := s.opts.Answers.Request(e.buf.B)
			s.log.swap(p, s.opts.Answers.Aborted(id))
		} else if e.buf != nil && e.abandoned == skipped {
			s.log.swap(p, Shared(skipFrame))
		}
		e.abandoned = needed
	}
}

package session

// entry is one frame of the log.
type entry struct {
	buf    *Buffer // nil: withdrawn, or out and not to be sent again
	number uint64  // its number among the counted frames; 0 until it is first written
	before uint32  // how many positions before this one is the frame before that answers the same request; 0: none is known
	kind   kind

	abandoned abandoned
}

// kind says how a frame is treated.
type kind uint8

const (
	counted   kind = iota // has a number, and is sent again until it is acknowledged
	event                 // likewise, within the budget for events
	uncounted             // belongs to one connection (protocol section 8)
)

// log is the outbound log: a queue of frames with three cursors. Position p is
// the p-th frame ever appended; first <= written <= end. What is below first is gone; what is
// below written has been handed to the connection of the moment; what is below reached, to any. A
// frame gets its number with that, so numbers rise with positions.
type log struct {
	entries []entry
	head    int    // entries[:head] are gone
	first   uint64 // position of entries[head]
	written uint64
	reached uint64

	numbered   uint64 // the last number that was given
	acked      uint64 // the last number that the other side has
	bytes      int
	pending    int // bytes above written
	eventBytes int // of events that have no number yet
	heldEvents int // of all events
}

// keepEntries is the capacity that an empty log keeps; a larger one is given back.
const keepEntries = 8

func (l *log) append(b *Buffer, k kind) uint64 {
	if l.head > 0 && len(l.entries) == cap(l.entries) {
		n := copy(l.entries, l.entries[l.head:])
		clear(l.entries[n:])
		l.entries, l.head = l.entries[:n], 0
	}
	l.entries = append(l.entries, entry{buf: b, kind: k})
	l.bytes += len(b.B)
	l.pending += len(b.B)
	if k == event {
		l.eventBytes += len(b.B)
		l.heldEvents += len(b.B)
	}
	return l.end() - 1
}

func (l *log) end() uint64        { return l.first + uint64(len(l.entries)-l.head) }
func (l *log) unwritten() int     { return int(l.end() - l.written) }
func (l *log) at(p uint64) *entry { return &l.entries[l.head+int(p-l.first)] }

// swap replaces the frame at p, which nothing writes now, by another one under the same number.
func (l *log) swap(p uint64, b *Buffer) {
	e := l.at(p)
	more := len(b.B) - len(e.buf.B)
	l.bytes += more
	if p >= l.written {
		l.pending += more
	}
	e.buf.Free()
	e.buf = b
}

// take moves the written cursor over the next frames, up to about limit bytes,
// numbers those that are written for the first time, and appends them to dst.
func (l *log) take(dst [][]byte, limit int) [][]byte {
	size := 0
	for ; l.written < l.end(); l.written++ {
		e := l.at(l.written)
		if e.buf == nil {
			continue
		}
		if size > 0 && size+len(e.buf.B) > limit {
			break
		}
		size += len(e.buf.B)
		l.pending -= len(e.buf.B)
		dst = append(dst, e.buf.B)
		if e.kind != uncounted && e.number == 0 {
			l.numbered++
			e.number = l.numbered
			if e.kind == event {
				l.eventBytes -= len(e.buf.B)
			}
		}
	}
	l.reached = max(l.reached, l.written)
	return dst
}

// trim drops what is below position p and need not be sent again, from the front.
func (l *log) trim(p uint64) {
	for l.first < min(p, l.written) {
		e := l.at(l.first)
		if e.buf != nil && e.kind != uncounted && e.number > l.acked {
			break
		}
		l.release(e)
		l.head++
		l.first++
	}
	if l.head == len(l.entries) {
		l.head = 0
		if cap(l.entries) > keepEntries {
			l.entries = nil
		} else {
			l.entries = l.entries[:0]
		}
	}
}

// rewind puts the written cursor back to the first frame that the other side has
// not received, and drops what belonged to the old connection alone.
func (l *log) rewind() {
	for p := l.first; p < l.end(); p++ {
		if e := l.at(p); e.kind == uncounted {
			l.release(e)
		}
	}
	l.written = l.reached // an earlier rewind may have put it back, and more has been acknowledged since
	l.trim(l.reached)
	l.written, l.pending = l.first, l.bytes
}

// withdraw takes back the frame at p if it has never been written.
func (l *log) withdraw(p uint64) bool {
	if p < l.reached || p < l.first || p >= l.end() {
		return false
	}
	e := l.at(p)
	if e.buf == nil {
		return false
	}
	l.pending -= len(e.buf.B)
	l.release(e)
	return true
}

func (l *log) release(e *entry) {
	if e.buf == nil {
		return
	}
	l.bytes -= len(e.buf.B)
	if e.kind == event {
		l.heldEvents -= len(e.buf.B)
		if e.number == 0 {
			l.eventBytes -= len(e.buf.B)
		}
	}
	e.buf.Free()
	e.buf = nil
}

// clear drops everything. Frames that a connection may be writing now are left
// to the garbage collector.
func (l *log) clear() {
	l.first = l.end()
	l.written = l.first
	l.entries, l.head, l.bytes, l.pending, l.eventBytes, l.heldEvents = nil, 0, 0, 0, 0, 0
}

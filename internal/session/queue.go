package session

// entry is one frame of the queue.
type entry struct {
	buf    *Buffer // nil: withdrawn, or written and not to be sent again
	number uint64  // its number among the counted frames; 0 until it is first written
	before uint32  // how many positions before this one is the frame before that answers the same request; 0: none is known
	kind   Kind

	abandoned abandoned
}

// entryBytes is the size of an entry. A frame that is withdrawn leaves one behind until those before it have been written.
const entryBytes = 24

// queue is the outbound queue: a queue of frames with cursors. Position p is the p-th frame ever appended;
// first <= done <= written <= reached <= end. A frame below first is gone. One below written has been handed to the
// current connection; if it is not below done, the current Write reads it. One below reached has been handed to any
// connection: a frame gets its number then, so numbers rise with positions. Once the session has ended, only reached counts.
type queue struct {
	entries []entry
	head    int    // entries[:head] are gone
	first   uint64 // position of entries[head]
	done    uint64
	written uint64
	reached uint64

	numbered   uint64 // the last number that was assigned
	acked      uint64 // the last number that the other side has
	bytes      int
	pending    int // bytes above written
	eventBytes int // of events that have no number yet
	heldEvents int // of all events
}

// keepEntries is the capacity that an empty queue keeps; a larger one is released.
const keepEntries = 8

func (q *queue) append(k Kind, b *Buffer) uint64 {
	if q.head > 0 && len(q.entries) == cap(q.entries) {
		n := copy(q.entries, q.entries[q.head:])
		clear(q.entries[n:])
		q.entries, q.head = q.entries[:n], 0
	}
	q.entries = append(q.entries, entry{buf: b, kind: k})
	q.bytes += len(b.B)
	q.pending += len(b.B)
	if k == event {
		q.eventBytes += len(b.B)
		q.heldEvents += len(b.B)
	}
	return q.end() - 1
}

func (q *queue) len() int           { return len(q.entries) - q.head }
func (q *queue) end() uint64        { return q.first + uint64(q.len()) }
func (q *queue) unwritten() int     { return int(q.end() - q.written) }
func (q *queue) at(p uint64) *entry { return &q.entries[q.head+int(p-q.first)] }

// swap replaces the frame at p, which nothing writes now, by another one under the same number.
func (q *queue) swap(p uint64, b *Buffer) {
	e := q.at(p)
	more := len(b.B) - len(e.buf.B)
	q.bytes += more
	if p >= q.written {
		q.pending += more
	}
	e.buf.Free()
	e.buf = b
}

// take moves the written cursor over the next frames, up to about limit bytes,
// numbers those that are written for the first time, and appends them to dst.
func (q *queue) take(dst [][]byte, limit int) [][]byte {
	size := 0
	for ; q.written < q.end(); q.written++ {
		e := q.at(q.written)
		if e.buf == nil {
			continue
		}
		if size > 0 && size+len(e.buf.B) > limit {
			break
		}
		size += len(e.buf.B)
		q.pending -= len(e.buf.B)
		dst = append(dst, e.buf.B)
		if e.kind != Uncounted && e.number == 0 {
			q.numbered++
			e.number = q.numbered
			if e.kind == event {
				q.eventBytes -= len(e.buf.B)
			}
		}
	}
	q.reached = max(q.reached, q.written)
	return dst
}

// wrote notes that the frames that take returned have been written; forget is true if none will be sent again.
func (q *queue) wrote(forget bool) {
	q.done = q.written
	if forget {
		q.acked = q.numbered
	}
	q.trim()
}

// trim drops what need not be sent again, from the front up to what is being written.
func (q *queue) trim() {
	for q.first < q.done {
		e := q.at(q.first)
		if e.buf != nil && e.kind != Uncounted && e.number > q.acked {
			break
		}
		q.release(e)
		q.head++
		q.first++
	}
	if q.head == len(q.entries) {
		q.head = 0
		if cap(q.entries) > keepEntries {
			q.entries = nil
		} else {
			q.entries = q.entries[:0]
		}
	}
}

// rewind makes the queue ready for another connection, while nothing is being written: it drops what belonged to the old
// one and what the other side has, replaces what was abandoned, and puts the written cursor back to the first frame.
func (q *queue) rewind() {
	for p := q.first; p < q.end(); p++ {
		if e := q.at(p); e.kind == Uncounted {
			q.release(e)
		}
	}
	q.done = q.reached // an earlier rewind may have put it back, and more has been acknowledged since
	q.trim()
	for p := q.first; p < q.end(); p++ {
		q.replaceAbandoned(p)
	}
	q.done, q.written, q.pending = q.first, q.first, q.bytes
}

// withdraw takes back the frame at p if it has never been written.
func (q *queue) withdraw(p uint64) bool {
	if p < q.reached || p < q.first || p >= q.end() {
		return false
	}
	e := q.at(p)
	if e.buf == nil {
		return false
	}
	q.pending -= len(e.buf.B)
	q.release(e)
	return true
}

func (q *queue) release(e *entry) {
	if e.buf == nil {
		return
	}
	q.bytes -= len(e.buf.B)
	if e.kind == event {
		q.heldEvents -= len(e.buf.B)
		if e.number == 0 {
			q.eventBytes -= len(e.buf.B)
		}
	}
	e.buf.Free()
	e.buf = nil
}

// clear drops everything. The buffers, which a Write may be reading, are left to the garbage collector.
func (q *queue) clear() {
	end := q.end()
	*q = queue{first: end, done: end, written: end, reached: q.reached, numbered: q.numbered, acked: q.acked}
}

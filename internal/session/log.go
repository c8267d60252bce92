package session

// entry is one frame of the log.
type entry struct {
	buf   *Buffer // nil: withdrawn
	event bool
}

// log is the outbound log: a queue of frames with three cursors. Position p is
// the p-th frame ever appended; first <= written <= first+len(entries). What is below
// first has been acknowledged and is gone; what is below written has been handed to a
// connection.
type log struct {
	entries []entry
	head    int    // entries[:head] are gone
	first   uint64 // position of entries[head]
	written uint64
	// lastWritten is written as it was when the session ended, for truthful errors.
	lastWritten uint64
	bytes       int
	eventBytes  int
}

// keepEntries is the capacity that an empty log keeps; a larger one is given back.
const keepEntries = 8

func (l *log) append(b *Buffer, event bool) uint64 {
	if l.head > 0 && len(l.entries) == cap(l.entries) {
		n := copy(l.entries, l.entries[l.head:])
		clear(l.entries[n:])
		l.entries, l.head = l.entries[:n], 0
	}
	l.entries = append(l.entries, entry{b, event})
	l.bytes += len(b.B)
	if event {
		l.eventBytes += len(b.B)
	}
	return l.first + uint64(len(l.entries)-l.head) - 1
}

func (l *log) end() uint64    { return l.first + uint64(len(l.entries)-l.head) }
func (l *log) unwritten() int { return int(l.end() - l.written) }

// idle reports whether everything that was appended has been acknowledged.
func (l *log) idle() bool { return l.bytes == 0 && l.unwritten() == 0 }

// take moves the written cursor over the next frames, up to about max bytes, and
// appends them to dst.
func (l *log) take(dst [][]byte, limit int) [][]byte {
	size := 0
	for l.written < l.end() {
		e := &l.entries[l.head+int(l.written-l.first)]
		if e.buf != nil {
			if size > 0 && size+len(e.buf.B) > limit {
				break
			}
			size += len(e.buf.B)
			dst = append(dst, e.buf.B)
		}
		l.written++
	}
	return dst
}

// acknowledge drops everything below position p and gives buffers back.
func (l *log) acknowledge(p uint64) {
	for l.first < p {
		e := &l.entries[l.head]
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

// withdraw takes back the frame at p if it has not been written.
func (l *log) withdraw(p uint64) bool {
	if p < l.written || p >= l.end() {
		return false
	}
	e := &l.entries[l.head+int(p-l.first)]
	if e.buf == nil {
		return false
	}
	l.release(e)
	return true
}

func (l *log) release(e *entry) {
	if e.buf == nil {
		return
	}
	l.bytes -= len(e.buf.B)
	if e.event {
		l.eventBytes -= len(e.buf.B)
	}
	e.buf.Free()
	*e = entry{}
}

// clear drops everything. Frames that a connection may be writing now are left
// to the garbage collector.
func (l *log) clear() {
	l.first = l.end()
	l.written = l.first
	l.entries, l.head, l.bytes, l.eventBytes = nil, 0, 0, 0
}

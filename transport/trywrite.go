package transport

import "os"

// tryBytes is the most that TryWrite takes: what is larger is worth a goroutine.
const tryBytes = 16 << 10

// TryWriter is implemented by a Conn that can write without waiting.
type TryWriter interface {
	// TryWrite is Write, unless that would wait: then, and where it is refused for whatever
	// reason, it is false and nothing has been taken. What the operating system does not take at
	// once of frames that were taken follows by itself; a failure shows in the next Write and in Read. It
	// counts as a Write for who may use it when.
	TryWrite(frames [][]byte) bool
}

// socketBelow gives the wire to which writing is writing to the stream, if it can
// be written without waiting.
func (l *link) socketBelow() *wire {
	w, ok := l.stream.(*wire)
	if !ok {
		w, ok = l.conn.(*wire)
	}
	if !ok || w.poll == nil {
		return nil
	}
	return w
}

func (l *link) tryFrames(frames [][]byte) bool {
	total := 0
	for _, f := range frames {
		total += len(f) + maxHeaderBytes
	}
	if l.below == nil || total > tryBytes || !l.tryBegin() {
		return false
	}
	buffer := borrow(total)
	out := (*buffer)[:0]
	keys := keySource{masked: l.client}
	for _, f := range frames {
		key := keys.next()
		out = appendHeader(out, opText, len(f), l.client, key)
		out = append(out, f...)
		if l.client {
			mask(out[len(out)-len(f):], key)
		}
	}
	*buffer = out
	l.below.pace.extendTry(l.below.Conn)
	n, err := l.below.poll.tryWrite(out)
	if err != nil {
		_ = l.writeFailed(err) // recorded in the link
	}
	if err == nil && n < len(out) && l.goOn(func() {
		_ = l.writeChunk(out[n:]) // recorded in the link
		giveBack(buffer)
		l.drain()
	}) {
		return true
	}
	giveBack(buffer)
	l.endTurn()
	return true
}

// goOn leaves the turn to write to a goroutine. It is false when the link has ended.
func (l *link) goOn(write func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end != nil {
		return false
	}
	l.flushers.Go(write) // with mu held: whoever waits for the flushers has set end before
	return true
}

// tryBegin takes the turn to write, if it is free and nothing speaks against it.
func (l *link) tryBegin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active || l.end != nil || l.closing != nil || l.broken != nil {
		return false
	}
	l.active = true
	return true
}

// endTurn ends the turn, or leaves it to a goroutine where control frames wait.
func (l *link) endTurn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.control) > 0 && l.end == nil && l.broken == nil {
		l.flushers.Go(l.drain)
		return
	}
	l.active = false
	l.idle.Broadcast()
}

func writeError(err error) error { return os.NewSyscallError("write", err) }

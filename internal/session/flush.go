package session

import (
	"context"
	"runtime"
	"sync"

	"github.com/alkdev/hubspoke/transport"
)

const (
	// batchBytes is how much goes to the connection in one Write.
	batchBytes = 64 << 10
	// lingerBytes: with less than this waiting the flusher lets others
	// run once, so that what they are about to send goes out in the same system call.
	lingerBytes = 1 << 10
	// tryBytes is how much FlushReady writes by itself.
	tryBytes = 8 << 10
)

// writer says what is being done about the frames that wait to be written.
type writer uint8

const (
	idle    writer = iota // nothing: no goroutine writes
	claimed               // the flusher runs, or the goroutine that claimed the writing is to call FlushReady
	writing               // it is in a Write, which reads the queue's frames from done to written
)

// write is one call of Write or TryWrite.
type write struct {
	conn   transport.Conn
	frames [][]byte
	n      int    // how many frames
	ack    []byte // the buffer of the acknowledgement among them
}

var writes = sync.Pool{New: func() any { return &write{frames: make([][]byte, 0, 64)} }}

// clear forgets the frames when they have been written.
func (w *write) clear() {
	clear(w.frames)
	w.frames = w.frames[:0]
}

// free returns w to the pool, after wroteLocked.
func (w *write) free() {
	w.conn = nil
	if cap(w.frames) <= 1024 {
		writes.Put(w)
	}
}

// Flush waits until everything that is in the queue has been handed to a connection.
func (s *Session) Flush(ctx context.Context) error {
	s.mu.Lock()
	if s.cause != nil || s.flushedLocked() {
		defer s.mu.Unlock()
		return s.cause
	}
	if s.flushed == nil {
		s.flushed = make(chan struct{})
	}
	flushed := s.flushed
	s.mu.Unlock()
	select {
	case <-flushed:
		return s.Cause()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// flushedLocked reports whether everything has been handed to the connection.
func (s *Session) flushedLocked() bool { return s.queue.pending == 0 && s.writer != writing }

func (s *Session) readyLocked() bool {
	return s.conn != nil && (s.queue.unwritten() > 0 || s.acks.urgent.Load())
}

// claimFlushLocked makes the caller write what waits, and returns true, if there is
// something and no other goroutine writes it.
func (s *Session) claimFlushLocked() bool {
	if s.writer != idle || !s.readyLocked() {
		return false
	}
	s.writer = claimed
	s.wg.Add(1)
	return true
}

// startFlushLocked starts the flusher. It lives only while there is data.
func (s *Session) startFlushLocked() {
	if s.claimFlushLocked() {
		go s.flusher()
	}
}

// flush writes until nothing waits. Its caller has claimed that.
func (s *Session) flush() {
	defer s.wg.Done()
	w := writes.Get().(*write)
	s.mu.Lock()
	for s.lingerLocked() {
		s.takeLocked(w)
		s.mu.Unlock()
		err := s.write(w)
		s.mu.Lock()
		s.wroteLocked(w, err)
	}
	s.writer = idle
	s.mu.Unlock()
	w.free()
}

// FlushReady writes the frames for which TryAppend or AppendEvent has left the write to its caller, once the caller has
// appended all that it has. It does not wait: more than 8 KiB, or a write that would have to wait, is left to the flusher.
func (s *Session) FlushReady() {
	s.mu.Lock()
	if s.queue.pending > tryBytes || !s.readyLocked() {
		defer s.mu.Unlock()
		s.handOverLocked()
		return
	}
	w := writes.Get().(*write)
	s.takeLocked(w)
	s.mu.Unlock()
	if w.n > 0 && !w.conn.TryWrite(w.frames) {
		go s.flushRest(w)
		return
	}
	w.clear()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wroteLocked(w, nil)
	w.free()
	s.handOverLocked()
}

// handOverLocked leaves what waits to the flusher. If there is nothing, it returns the claim.
func (s *Session) handOverLocked() {
	if s.readyLocked() {
		go s.flusher()
		return
	}
	s.writer = idle
	s.wg.Done()
}

// flushRest continues where TryWrite would have had to wait.
func (s *Session) flushRest(w *write) {
	err := s.write(w)
	s.mu.Lock()
	s.wroteLocked(w, err)
	s.mu.Unlock()
	w.free()
	s.flush()
}

// lingerLocked reports whether there is something to write, after others had
// the chance to add to it. It may unlock meanwhile.
func (s *Session) lingerLocked() bool {
	if s.queue.pending < lingerBytes {
		s.mu.Unlock()
		runtime.Gosched()
		s.mu.Lock()
	}
	return s.readyLocked()
}

// takeLocked takes what waits, up to a bound, for a Write to the connection.
func (s *Session) takeLocked(w *write) {
	s.writer, w.conn = writing, s.conn
	if s.queue.pending > 0 || s.acks.urgent.Load() { // what waits may have been withdrawn
		s.acks.appendTo(w)
	}
	w.frames = s.queue.take(w.frames, batchBytes)
	w.n = len(w.frames)
}

// write calls Write, and clears w.
func (s *Session) write(w *write) error {
	if w.n == 0 { // all of it was withdrawn
		return nil
	}
	err := w.conn.Write(w.frames)
	w.clear()
	if err != nil && s.opts.Owner != nil {
		s.opts.Owner.Log().Debug().Err(err).Msg("write failed")
	}
	return err
}

// wroteLocked notes the result of a Write.
func (s *Session) wroteLocked(w *write, err error) {
	s.writer = claimed
	s.returned.Broadcast()
	switch {
	case s.cause != nil:
		return
	case s.conn != w.conn: // it was lost, or another has been attached meanwhile
		s.queue.rewind()
	case err != nil: // the connection ends by itself: Abort would cut off a close frame that is on its way
		s.detachLocked()
		return
	default:
		s.written += uint64(w.n)
		s.queue.wrote(!s.opts.Resumable)
		s.appendGapsLocked()
	}
	s.settleLocked()
}

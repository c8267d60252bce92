package session

import (
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

var batches = sync.Pool{New: func() any { b := make([][]byte, 0, 64); return &b }}

func freeBatch(batch *[][]byte) {
	clear((*batch)[:cap(*batch)])
	*batch = (*batch)[:0]
	if cap(*batch) <= 1024 {
		batches.Put(batch)
	}
}

// claimFlushLocked makes the caller write what waits, and returns true, if there is
// something and no other goroutine writes it.
func (s *Session) claimFlushLocked() bool {
	if s.flushing || !s.readyLocked() {
		return false
	}
	s.flushing = true
	s.wg.Add(1)
	return true
}

// startFlushLocked starts the flusher. It lives only while there is data.
func (s *Session) startFlushLocked() {
	if s.claimFlushLocked() {
		go s.flusher()
	}
}

// flush writes until nothing waits. Whoever runs it has claimed that.
func (s *Session) flush() {
	defer s.wg.Done()
	batch := batches.Get().(*[][]byte)
	s.mu.Lock()
	for s.lingerLocked() {
		conn := s.takeLocked(batch)
		s.mu.Unlock()
		var err error
		if len(*batch) > 0 { // all of it may have been withdrawn
			err = conn.Write(*batch)
		}
		s.mu.Lock()
		s.wroteLocked(conn, len(*batch), err)
	}
	s.flushing = false
	s.wakeLocked()
	s.mu.Unlock()
	freeBatch(batch)
}

// FlushReady writes the frames for which TryAppend or [Owner.Ready] has left the write to its caller, once the caller has
// appended all that it has. It does not wait: more than 8 KiB, or a write that would have to wait, is left to the flusher.
func (s *Session) FlushReady() {
	s.mu.Lock()
	if s.queue.pending > tryBytes || !s.readyLocked() {
		s.mu.Unlock()
		go s.flusher()
		return
	}
	batch := batches.Get().(*[][]byte)
	conn := s.takeLocked(batch)
	s.mu.Unlock()
	if len(*batch) > 0 && !conn.TryWrite(*batch) {
		go s.flushRest(conn, batch)
		return
	}
	s.mu.Lock()
	s.wroteLocked(conn, len(*batch), nil)
	freeBatch(batch)
	if s.readyLocked() {
		go s.flusher()
	} else {
		s.flushing = false
		s.wakeLocked()
		s.wg.Done()
	}
	s.mu.Unlock()
}

// flushRest goes on where TryWrite would have had to wait.
func (s *Session) flushRest(conn transport.Conn, batch *[][]byte) {
	err := conn.Write(*batch)
	s.mu.Lock()
	s.wroteLocked(conn, len(*batch), err)
	s.mu.Unlock()
	freeBatch(batch)
	s.flush()
}

func (s *Session) readyLocked() bool {
	return s.cause == nil && s.conn != nil && (s.queue.unwritten() > 0 || s.acks.urgent.Load())
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

// takeLocked takes what waits, up to a bound, for a Write to conn.
func (s *Session) takeLocked(batch *[][]byte) (conn transport.Conn) {
	s.writing, s.from = true, s.queue.written
	*batch = (*batch)[:0]
	if s.queue.pending > 0 || s.acks.urgent.Load() { // what waits may have been withdrawn
		*batch = s.ackLocked(*batch)
	}
	*batch = s.queue.take(*batch, batchBytes)
	return s.conn
}

// wroteLocked notes what became of a Write of n frames.
func (s *Session) wroteLocked(conn transport.Conn, n int, err error) {
	if err != nil { // the connection ends by itself; Abort would cut off a close frame that is on its way
		if s.opts.Owner != nil {
			s.opts.Owner.Log().Debug().Err(err).Msg("write failed")
		}
	}
	s.writing = false
	s.returned.Broadcast()
	switch {
	case s.cause != nil:
		return
	case s.conn != conn: // it was lost, or another has been attached meanwhile
		s.rewindLocked()
		return
	case err != nil: // its reader sees it too
		s.setConnLocked(nil)
		s.rewindLocked()
		return
	}
	s.written += uint64(n)
	if !s.opts.Resumable {
		s.queue.acked = s.queue.numbered // a window of zero: written is acknowledged
	}
	s.trimLocked()
	s.appendGapsLocked()
	s.wakeLocked()
}

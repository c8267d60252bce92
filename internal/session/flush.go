package session

import (
	"runtime"
	"sync"
)

const (
	// batchBytes is how much goes to the connection in one Write.
	batchBytes = 64 << 10
	// lingerBytes: with less than this waiting the flusher lets others run once,
	// so that what they are about to send goes out in the same system call.
	lingerBytes = 1 << 10
)

var batches = sync.Pool{New: func() any { b := make([][]byte, 0, 64); return &b }}

// startFlushLocked starts the flusher. It lives only while there is data.
func (s *Session) startFlushLocked() {
	if s.flushing || s.conn == nil || s.log.unwritten() == 0 {
		return
	}
	s.flushing = true
	s.wg.Go(s.flush)
}

func (s *Session) flush() {
	batch := batches.Get().(*[][]byte)
	defer func() {
		clear((*batch)[:cap(*batch)])
		*batch = (*batch)[:0]
		if cap(*batch) <= 1024 {
			batches.Put(batch)
		}
	}()
	s.mu.Lock()
	for {
		if s.log.pending < lingerBytes {
			s.mu.Unlock()
			runtime.Gosched()
			s.mu.Lock()
		}
		if s.cause != nil || s.conn == nil || s.log.unwritten() == 0 {
			break
		}
		s.writeBatchLocked(batch)
	}
	s.flushing = false
	s.wakeLocked()
	s.mu.Unlock()
}

// writeBatchLocked writes what waits, up to a bound. It unlocks for the Write.
func (s *Session) writeBatchLocked(batch *[][]byte) {
	conn := s.conn
	s.writing, s.from = true, s.log.written
	*batch = s.log.take((*batch)[:0], batchBytes)
	s.mu.Unlock()
	var err error
	if len(*batch) > 0 { // all of it may have been withdrawn
		err = conn.Write(*batch)
	}
	if err != nil { // the connection ends by itself; Abort would cut off a close frame that is on its way
		s.opts.Log.Debug().Err(err).Msg("write failed")
	}
	s.mu.Lock()
	s.writing = false
	s.returned.Broadcast()
	switch {
	case s.cause != nil:
		return
	case s.conn != conn: // it was lost, or another has been attached meanwhile
		s.log.rewind()
		s.account()
		return
	case err != nil: // its reader sees it too
		s.conn = nil
		s.log.rewind()
		s.account()
		return
	}
	s.written += uint64(len(*batch))
	if !s.opts.Resumable {
		s.log.acked = s.log.numbered // a window of zero: written is acknowledged
	}
	s.trimLocked()
	s.tellGapsLocked()
	s.wakeLocked()
}

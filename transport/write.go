package transport

import (
	"errors"
	"os"
)

// tryBytes is the most that TryWrite takes: more is worth a goroutine.
const tryBytes = 16 << 10

// Write implements Conn.
func (s *webSocket) Write(messages [][]byte) error {
	if err := s.begin(); err != nil {
		return err
	}
	err := s.writeMessages(messages)
	s.writeControl()
	return err
}

// TryWrite implements Conn. It returns false over TLS, which cannot write without waiting.
func (s *webSocket) TryWrite(messages [][]byte) bool {
	total := 0
	for _, m := range messages {
		total += len(m) + maxHeaderBytes
	}
	if s.plain == nil || total > tryBytes || !s.tryBegin() {
		return false
	}
	buffer := getBuffer(total)
	out := (*buffer)[:0]
	for _, m := range messages {
		out = appendFrame(out, opText, m, s.keys)
	}
	*buffer = out
	n, err := s.plain.tryWrite(out)
	if err != nil {
		_ = s.writeFailed(err) // the next Write returns it
	}
	if err == nil && n < len(out) && s.continueWriting(buffer, n) {
		return true
	}
	putBuffer(buffer)
	s.finishWriting()
	return true
}

// begin waits until no other goroutine writes, and makes the caller the one that does.
func (s *webSocket) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if err := s.refusalLocked(); err != nil {
			return err
		}
		if !s.writing {
			s.writing = true
			return nil
		}
		s.idle.Wait()
	}
}

// tryBegin is begin, but returns false if it would have to wait or nothing can be written.
func (s *webSocket) tryBegin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writing || s.refusalLocked() != nil {
		return false
	}
	s.writing = true
	return true
}

// refusalLocked returns why nothing can be written.
func (s *webSocket) refusalLocked() error {
	switch {
	case s.end != nil:
		return s.end
	case s.closing != nil:
		return s.closing
	}
	return s.broken
}

// continueWriting starts a goroutine that writes the rest of a TryWrite, and then the control frames. It
// returns false if the connection has ended.
func (s *webSocket) continueWriting(buffer *[]byte, from int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		return false
	}
	s.writers.Go(func() { // with mu held: finish sets end before it waits for the writers
		_ = s.writeChunk((*buffer)[from:]) // the next Write returns the error
		putBuffer(buffer)
		s.writeControl()
	})
	return true
}

// finishWriting lets the next goroutine write, or starts one for control frames that wait.
func (s *webSocket) finishWriting() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.control) > 0 && s.end == nil && s.broken == nil {
		s.writers.Go(s.writeControl)
		return
	}
	s.writing = false
	s.idle.Broadcast()
}

// writeMessages writes each message as one unfragmented text frame, in chunks of
// chunkBytes, and control frames that are queued meanwhile between two frames.
func (s *webSocket) writeMessages(messages [][]byte) (err error) {
	total := 0
	for _, m := range messages {
		total += len(m) + maxHeaderBytes
	}
	if total == 0 {
		return nil
	}
	buffer := getBuffer(min(total, chunkBytes))
	defer putBuffer(buffer)
	out := (*buffer)[:0]
	wrote := false // a chunk, since control frames were last written
	for _, m := range messages {
		if full := cap(out)-len(out) < maxHeaderBytes; full || wrote {
			if out, err = s.betweenFrames(out, full); err != nil {
				return err
			}
			wrote = false
		}
		key := s.keys.next()
		out = appendHeader(out, opText, len(m), s.client, key)
		for len(m) > 0 {
			if len(out) == cap(out) {
				if err := s.writeChunk(out); err != nil {
					return err
				}
				out, wrote = out[:0], true
			}
			n := copy(out[len(out):cap(out)], m)
			out = out[:len(out)+n]
			if s.client {
				key = mask(out[len(out)-n:], key)
			}
			m = m[n:]
		}
	}
	return s.writeChunk(out)
}

// betweenFrames writes the control frames that wait, and before them out, which ends
// with a whole frame. If full is set it writes out in any case. It returns out, emptied if
// it was written.
func (s *webSocket) betweenFrames(out []byte, full bool) ([]byte, error) {
	s.mu.Lock()
	var waiting []byte
	if s.closing == nil { // a close frame comes after all the data
		waiting, s.control = s.control, nil
	}
	s.mu.Unlock()
	if !full && len(waiting) == 0 {
		return out, nil
	}
	if err := s.writeChunk(out); err != nil {
		return out, err
	}
	if len(waiting) == 0 {
		return out[:0], nil
	}
	return out[:0], s.writeChunk(waiting)
}

// writeChunk writes to the stream, for the goroutine that set writing.
func (s *webSocket) writeChunk(p []byte) error {
	if _, err := s.stream.Write(p); err != nil {
		return s.writeFailed(err)
	}
	return nil
}

// writeFailed ends the connection after the write timeout. After any other failure the other side may have sent
// the reason before, and the reader has the linger time to find it.
func (s *webSocket) writeFailed(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		return s.end
	}
	err = lost(err)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.endLocked(err)
		return err
	}
	if s.broken == nil {
		s.broken = err
		s.lingerLocked(err)
	}
	return s.broken
}

// Ping implements Conn.
func (s *webSocket) Ping() error { return s.sendControl(opPing, nil) }

// sendControl queues a control frame, unless nothing is written any more. It never waits.
func (s *webSocket) sendControl(opcode byte, payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refusalLocked(); err != nil {
		return err
	}
	return s.queueLocked(opcode, payload)
}

var errControlQueue = errors.New("too many control frames wait behind a write that does not return")

// queueLocked queues a control frame, and starts a goroutine that writes it if none writes.
func (s *webSocket) queueLocked(opcode byte, payload []byte) error {
	if len(s.control)+maxHeaderBytes+len(payload) > maxControlBytes {
		err := lost(errControlQueue)
		s.endLocked(err)
		return err
	}
	var keys *keySource
	if s.client {
		keys = &keySource{}
	}
	s.control = appendFrame(s.control, opcode, payload, keys)
	if !s.writing {
		s.writing = true
		s.writers.Go(s.writeControl)
	}
	return nil
}

// writeControl writes control frames until there are none, and ends the writing of the goroutine.
func (s *webSocket) writeControl() {
	for {
		out := s.takeControl()
		if out == nil {
			return
		}
		_ = s.writeChunk(out) // the next Write returns the error
	}
}

// takeControl returns the control frames to write. If there are none, the caller stops writing.
func (s *webSocket) takeControl() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.control
	s.control = nil
	if len(out) == 0 || s.end != nil || s.broken != nil {
		s.writing = false
		s.idle.Broadcast()
		return nil
	}
	return out
}

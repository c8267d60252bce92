package transport

import (
	"encoding/binary"
	"errors"
	"io"
	"time"
)

// A webSocket ends with a close frame (startClose, answerClose), or immediately (drop). The reader finds
// the end and frees what the connection holds (finish).

// Close implements Conn.
func (s *webSocket) Close(code CloseCode, reason string) { s.startClose(code, reason) }

// Abort implements Conn.
func (s *webSocket) Abort() { s.drop(lost(errAborted)) }

// startClose queues the close frame and starts the linger time. It returns false if a close frame was queued
// before or the connection has ended.
func (s *webSocket) startClose(code CloseCode, reason string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing != nil || s.end != nil {
		return false
	}
	ce := newClose(code, reason)
	if s.broken == nil && s.queueLocked(opClose, closePayload(ce)) != nil {
		return false
	}
	s.closing, s.own = ce, true
	s.over.Store(true)
	s.lingerLocked(ce)
	return true
}

// answerClose queues the answer to the other side's close frame, unless this side has closed.
func (s *webSocket) answerClose(ce *CloseError, payload []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing != nil || s.end != nil {
		return
	}
	if s.broken == nil && s.queueLocked(opClose, payload) != nil {
		return
	}
	s.closing = ce
	s.over.Store(true)
}

func closePayload(ce *CloseError) []byte {
	if ce.Code == CloseNoStatus {
		return nil
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(ce.Code)), ce.Reason...)
}

// parseClose reads the payload of the other side's close frame. It returns false for one that RFC 6455
// does not allow.
func parseClose(payload []byte) (*CloseError, bool) {
	if len(payload) == 0 {
		return &CloseError{Code: CloseNoStatus, Remote: true}, true
	}
	if len(payload) < 2 {
		return nil, false
	}
	code := CloseCode(binary.BigEndian.Uint16(payload))
	return &CloseError{Code: code, Reason: validText(string(payload[2:])), Remote: true}, code.sendable()
}

// drop ends the connection immediately. The first cause wins.
func (s *webSocket) drop(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked(cause)
}

// endLocked sets the end and closes the connection, which unblocks Read and Write. It does not wait.
func (s *webSocket) endLocked(cause error) {
	if s.end != nil {
		return
	}
	if s.own {
		cause = s.closing
	}
	s.end = cause
	s.over.Store(true)
	s.control = nil
	if s.linger != nil {
		s.linger.Stop()
	}
	s.idle.Broadcast()
	if s.conn != nil {
		hangUp(s.conn)
	} else {
		_ = s.stream.Close()
	}
}

// lingerLocked ends the connection when no byte has flowed in either direction for the linger time, at the latest
// after the write timeout, unless that has been started before.
func (s *webSocket) lingerLocked(cause error) {
	if s.linger == nil && s.end == nil {
		s.since = time.Now()
		s.linger = time.AfterFunc(s.limits.linger, func() { s.endIfQuiet(cause) })
	}
}

// endIfQuiet ends the connection if no byte has flowed for the linger time.
func (s *webSocket) endIfQuiet(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		return
	}
	quiet := s.limits.linger
	if s.writing { // a write that waits sees only after its patience that bytes were accepted
		quiet += patience(s.limits.writeTimeout)
	}
	if wait := s.limits.untilQuiet(quiet, s.since, s.seen.time(), s.taken.time()); wait > 0 {
		s.linger.Reset(wait)
		return
	}
	s.endLocked(cause)
}

// errSilence is the cause when the other side does not take the answer to its close.
var errSilence = errors.New("the other side did not finish the close")

// finish is the last act of the reader: it decides which error Read returns, and frees everything that the
// connection holds.
func (s *webSocket) finish() {
	r := &s.reader
	s.mu.Lock()
	switch {
	case s.own:
		r.result = s.closing
	case r.closed != nil:
		r.result = r.closed
	case s.end != nil:
		r.result = lost(s.end)
	case s.broken != nil:
		r.result = s.broken
	default:
		r.result = lost(r.readErr)
	}
	s.mu.Unlock()
	s.writeLast()
	s.mu.Lock()
	s.endLocked(r.result)
	if !s.own {
		s.end = r.result
	}
	s.mu.Unlock()
	s.writers.Wait()
	r.release()
}

// writeLast waits until the close frame has been written. After a protocol error the other side may be in the
// middle of sending: its bytes are read and discarded, since a system that closes a socket with unread data
// discards the close frame too.
func (s *webSocket) writeLast() {
	r := &s.reader
	s.mu.Lock()
	orderly := s.closing != nil && r.readErr == nil
	if orderly {
		s.lingerLocked(lost(errSilence))
		for s.writing && s.end == nil {
			s.idle.Wait()
		}
	}
	s.mu.Unlock()
	if !orderly || !r.drains {
		return
	}
	if s.conn != nil {
		_ = closeWrite(s.conn)
	}
	_, _ = io.Copy(io.Discard, s.stream)
}

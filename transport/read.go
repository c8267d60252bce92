package transport

import (
	"errors"
	"io"
	"os"
	"time"
)

const (
	// readBytes is how much is asked for in one read. After a read that returned all that it asked for it is four
	// times as much, up to maxReadBytes, until a read returns less than readBytes.
	readBytes    = 16 << 10
	maxReadBytes = 256 << 10
	// smallReadBytes is how much is asked for where a connection that buffers by itself, such as TLS, is waited
	// for: an idle connection holds no more.
	smallReadBytes = 64
)

// reader is the state of the goroutine that reads a webSocket. Its buffer holds, in this order: the
// message that is being assembled, or that was returned last; a gap where headers were; bytes that
// have not been parsed.
type reader struct {
	buffer      *[]byte // pooled; nil: none
	data        []byte  // where the bytes are: the whole capacity of buffer, or idle
	first, last int     // the message
	next, end   int     // the bytes that have not been parsed
	returned    bool    // the message was returned, and its bytes are free at the next call
	size        int     // how much to ask for in the next read
	small       bool    // the connection buffers by itself, and is waited for with idle
	idle        []byte  // smallReadBytes; made when it is needed

	inMessage bool   // between the first frame of a message and the end of its last
	inFrame   bool   // behind the header of a data frame
	final     bool   // that frame ends its message
	left      uint64 // bytes of it that have not been parsed
	key       uint32 // its masking key, for the next byte

	meter   Meter
	stopped bool        // nothing more is parsed: a close frame came, or the protocol was broken
	closed  *CloseError // the close frame that came
	drains  bool        // the protocol was broken: the other side may be in the middle of sending
	readErr error       // the error of the stream
	result  error       // the error that Read returns from now on
}

// Read implements Conn.
func (s *webSocket) Read() ([]byte, error) {
	r := &s.reader
	for r.result == nil {
		if msg, ok := s.nextMessage(); ok {
			return msg, nil
		}
		if r.stopped || s.wait() != nil {
			s.finish()
		}
	}
	return nil, r.result
}

// TryRead implements Conn. It leaves the end of a connection to Read, since that may wait.
func (s *webSocket) TryRead() (msg []byte, ok bool, err error) {
	r := &s.reader
	for r.result == nil {
		if msg, ok := s.nextMessage(); ok {
			return msg, true, nil
		}
		if r.stopped || !s.peek() {
			break
		}
	}
	return nil, false, r.result
}

// nextMessage parses the bytes that have been read, answers control frames, and returns the next message.
// It returns false if the message is not complete yet or nothing more is parsed.
func (s *webSocket) nextMessage() (msg []byte, ok bool) {
	r := &s.reader
	if r.returned {
		r.returned, r.first, r.last = false, r.next, r.next
	}
	for !r.stopped {
		if !r.inFrame {
			if !s.nextFrame() {
				return nil, false
			}
			continue
		}
		s.takePayload()
		if r.left > 0 {
			return nil, false
		}
		r.inFrame = false
		if !r.final {
			continue
		}
		r.inMessage = false
		if !s.over.Load() {
			r.returned = true
			return r.data[r.first:r.last:r.last], true
		}
	}
	return nil, false
}

// nextFrame parses the header of a frame, and handles a control frame as a whole. It returns false if
// bytes are missing.
func (s *webSocket) nextFrame() bool {
	r := &s.reader
	h, n := parseHeader(r.data[r.next:r.end])
	if n == 0 {
		return false
	}
	if reason := h.violation(s.client, r.inMessage); reason != "" {
		s.violated(reason)
		return true
	}
	if h.control() {
		return s.controlFrame(&h, n)
	}
	r.skip(n)
	r.inFrame, r.inMessage, r.final, r.left, r.key = true, true, h.final(), h.length, h.key
	s.count(1, 0)
	if h.opcode() == opBinary {
		s.Close(CloseUnsupportedData, "binary message")
	}
	if uint64(r.last-r.first)+h.length > uint64(s.limits.maxMessage) {
		s.Close(CloseMessageTooBig, "message too big")
	}
	return true
}

// controlFrame handles a control frame whose header has n bytes. It returns false if bytes are missing.
func (s *webSocket) controlFrame(h *header, n int) bool {
	r := &s.reader
	if uint64(r.end-r.next-n) < h.length {
		return false
	}
	payload := r.data[r.next+n:][:h.length]
	r.skip(n + int(h.length))
	if h.masked {
		mask(payload, h.key)
	}
	s.count(1, 0)
	switch h.opcode() {
	case opPing:
		_ = s.sendControl(opPong, payload) // if it fails, nothing is written any more
	case opClose:
		ce, ok := parseClose(payload)
		if !ok {
			s.violated("close frame with an invalid payload")
			break
		}
		r.stopped, r.closed = true, ce
		s.answerClose(ce, payload)
	}
	return true
}

// takePayload adds the bytes of a data frame that have arrived to the message. If the connection is
// closing, it discards both.
func (s *webSocket) takePayload() {
	r := &s.reader
	p := r.data[r.next:r.end]
	p = p[:min(r.left, uint64(len(p)))]
	at := r.next
	r.next += len(p)
	r.left -= uint64(len(p))
	if s.over.Load() {
		r.first, r.last = r.next, r.next
		return
	}
	if !s.client {
		r.key = mask(p, r.key)
	}
	if r.last != at {
		copy(r.data[r.last:], p)
	}
	r.last += len(p)
}

// skip moves past n bytes. A message that has no byte yet begins behind them.
func (r *reader) skip(n int) {
	if r.first == r.last {
		r.first, r.last = r.next+n, r.next+n
	}
	r.next += n
}

// violated closes the connection because the other side broke the protocol.
func (s *webSocket) violated(reason string) {
	s.reader.stopped = true
	s.reader.drains = s.startClose(CloseProtocolError, reason)
}

// count reports frames and bytes to the meter, and closes the connection if that returns false.
func (s *webSocket) count(frames, bytes int) {
	if m := s.reader.meter; m != nil && !m.Received(frames, bytes) {
		s.reader.meter = nil
		s.Close(CloseRateLimit, "rate limit exceeded")
	}
}

// wait reads at least one byte, or returns why there will be none.
func (s *webSocket) wait() error {
	r := &s.reader
	if r.readErr != nil { // met by TryRead
		return r.readErr
	}
	if s.plain == nil || !r.empty() {
		space := r.space()
		n, err := s.stream.Read(space)
		return s.arrived(n, len(space), err)
	}
	r.release()
	buffer, n, err := s.plain.socket.readBuffer(r.size)
	if buffer != nil {
		r.buffer, r.data = buffer, (*buffer)[:r.size]
	}
	return s.arrived(n, r.size, err)
}

var longAgo = time.Unix(1, 0)

// peek reads the bytes that TLS holds, without waiting, and returns false if there are none. Bytes that only the
// operating system has are left to Read.
func (s *webSocket) peek() bool {
	if !s.peeks || s.reader.readErr != nil {
		return false
	}
	space := s.reader.space()
	_ = s.conn.SetReadDeadline(longAgo) // if it fails, so does the read
	n, err := s.stream.Read(space)
	_ = s.conn.SetReadDeadline(time.Time{})
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	return s.arrived(n, len(space), err) == nil
}

// arrived notes the result of a read that asked for some bytes.
func (s *webSocket) arrived(n, asked int, err error) error {
	r := &s.reader
	if n == 0 {
		if err == nil {
			err = io.EOF
		}
		r.readErr = err
		return err
	}
	r.end += n
	switch {
	case n == asked && 2*n >= r.size: // not what little room was left
		r.size = min(4*r.size, maxReadBytes)
	case n < readBytes:
		r.size = readBytes
	}
	s.seen.touch()
	s.count(0, n)
	return nil // an error comes again
}

// fill puts bytes into a reader that has none.
func (r *reader) fill(p []byte) {
	if len(p) > 0 {
		r.buffer = getBuffer(len(p))
		r.data = (*r.buffer)[:cap(*r.buffer)]
		r.end = copy(r.data, p)
	}
}

func (r *reader) empty() bool { return r.first == r.last && r.next == r.end }

// release returns the buffer of an empty reader to its pool.
func (r *reader) release() {
	putBuffer(r.buffer)
	r.buffer, r.data = nil, nil
	r.first, r.last, r.next, r.end = 0, 0, 0, 0
}

// space returns the free part of the buffer. It moves the other bytes to the front, and to a larger
// buffer if less than half of this one is free and the frame needs more.
func (r *reader) space() []byte {
	if r.empty() {
		r.release()
		if !r.small {
			r.buffer = getBuffer(r.size)
			r.data = (*r.buffer)[:cap(*r.buffer)]
			return r.data
		}
		if r.idle == nil {
			r.idle = make([]byte, smallReadBytes)
		}
		r.data = r.idle
		return r.data
	}
	message, rest := r.data[r.first:r.last], r.data[r.next:r.end]
	used := len(message) + len(rest)
	free := len(r.data) - used
	old := r.buffer
	switch {
	case old == nil, len(r.data) < r.size:
		r.buffer = getBuffer(r.size)
	case free == 0, free < len(r.data)/2 && r.left > uint64(free):
		r.buffer = getBuffer(largerThan(len(r.data)))
	}
	r.data = (*r.buffer)[:cap(*r.buffer)]
	copy(r.data, message)
	copy(r.data[len(message):], rest)
	if old != r.buffer {
		putBuffer(old)
	}
	r.first, r.last, r.next, r.end = 0, len(message), len(message), used
	return r.data[used:]
}

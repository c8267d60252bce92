//go:build !js

package transport

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/coder/websocket"
)

// socket is a Conn on a WebSocket: coder/websocket reads, link writes.
type socket struct {
	// Fixed at construction.
	ws     *websocket.Conn
	link   *link
	remote string
	under  *hijacked // beneath ws; nil where it is not known

	// The reader's.
	held *[]byte // what Read returned last
	end  error   // what Read returns from now on
}

func newSocket(ws *websocket.Conn, l *link, remote string) *socket {
	s := &socket{}
	s.init(ws, l, remote)
	return s
}

// init is newSocket where the socket is part of something.
func (s *socket) init(ws *websocket.Conn, l *link, remote string) {
	l.opened = true
	ws.SetReadLimit(-1) // the limit is kept here, so that the close is ours too
	s.ws, s.link, s.remote = ws, l, remote
}

var _ Metered = (*socket)(nil)

// Meter implements Metered.
func (s *socket) Meter(fn func(frames, bytes int)) { s.link.meter = fn }

func (s *socket) Read() ([]byte, error) {
	giveBack(s.held) // before waiting: an idle connection holds no buffer
	s.held = nil
	for s.end == nil {
		if s.under != nil {
			s.under.await()
		}
		// A context that ended would close the connection, so none that can.
		typ, r, err := s.ws.Reader(context.Background())
		if err == nil {
			err = s.message(typ, r)
		}
		if err != nil {
			s.finish(err)
			break
		}
		if s.held != nil {
			return *s.held, nil
		}
	}
	return nil, s.end
}

// message reads one message into held. If it is refused, or the connection is
// closing, it reads it to its end and throws it away.
func (s *socket) message(typ websocket.MessageType, r io.Reader) error {
	if typ != websocket.MessageText {
		s.Close(CloseUnsupportedData, "binary message")
	}
	buffer := borrow(bufferSizes[1])
	for !s.link.over.Load() {
		if len(*buffer) == cap(*buffer) {
			buffer = enlarge(buffer)
		}
		n, err := r.Read((*buffer)[len(*buffer):cap(*buffer)])
		*buffer = (*buffer)[:len(*buffer)+n]
		if len(*buffer) > s.link.limits.maxMessage {
			s.Close(CloseMessageTooBig, "message too big")
			break
		}
		if err == io.EOF && !s.link.over.Load() {
			s.held = buffer
			return nil
		}
		if err != nil {
			break // io.Copy meets it again
		}
	}
	giveBack(buffer)
	_, err := io.Copy(io.Discard, r)
	return err
}

// finish finds out how the connection ended and gives everything back.
func (s *socket) finish(err error) {
	drain := false
	l := s.link
	var peer websocket.CloseError
	l.mu.Lock()
	closing, own, broken, end := l.closing, l.own, l.broken, l.end
	l.mu.Unlock()
	switch {
	case own:
		s.end = closing
	case errors.As(err, &peer):
		s.end = &CloseError{Code: CloseCode(peer.Code), Reason: validText(peer.Reason), Remote: true}
	case closing != nil: // by the library: the other side broke the protocol
		s.end, drain = closing, true
	case end != nil:
		s.end = lost(end)
	case l.readErr != nil && broken != nil:
		s.end = broken
	case l.readErr != nil:
		s.end = lost(l.readErr)
	default: // the library gave up without saying so
		if ce := l.startClose(CloseProtocolError, "WebSocket protocol error"); ce != nil {
			s.end, drain = ce, true
		} else {
			s.end = lost(err)
		}
	}
	l.retire(s.end, drain)
	_ = s.ws.CloseNow() // frees its buffers; the socket is closed already
}

func (s *socket) Write(frames [][]byte) error { return s.link.writeFrames(frames) }

func (s *socket) Close(code CloseCode, reason string) { _ = s.link.startClose(code, reason) }

func (s *socket) Abort() { s.link.drop(lost(errAborted)) }

func (s *socket) Ping() error { return s.link.ping() }

func (s *socket) LastReceived() time.Time { return s.link.seen.time() }

func (s *socket) RemoteAddr() string { return s.remote }

// Subprotocol is what the handshake agreed on, "" for none. See Subprotocol.
func (s *socket) Subprotocol() string { return s.ws.Subprotocol() }

var _ TryWriter = (*socket)(nil)

// TryWrite implements TryWriter.
func (s *socket) TryWrite(frames [][]byte) bool { return s.link.tryFrames(frames) }

var _ Waiter = (*socket)(nil)

// BeforeWait implements Waiter; it cannot over TLS.
func (s *socket) BeforeWait(fn func()) bool {
	w, ok := s.link.stream.(*wire)
	if !ok {
		w, ok = s.link.conn.(*wire)
	}
	if ok {
		w.before = fn
	}
	return ok
}

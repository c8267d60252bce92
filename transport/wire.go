package transport

import (
	"io"
	"net"
	"time"
)

// wire is a net.Conn of which an idle one holds no read buffer. It reads as much as is there into a
// pooled buffer, so that the small buffers above it cost no system calls, and
// gives it back as soon as it is empty. Where the system lets it (see
// readable_unix.go) it borrows the buffer only once there is something to read.
type wire struct {
	net.Conn
	seen *lifeSign // touched when bytes come; may be nil
	pace pace      // the writer's; without a timeout writes are passed on

	// The reader's.
	rest   []byte  // read, not yet handed out
	buffer *[]byte // what rest points into; nil if it is not pooled
	poll   *poller // nil if the connection can only be read blocking
	failed error   // what await met
	before func()  // see Waiter; may be nil
}

// newWire wraps conn, whose writes fail when no byte is taken for the timeout; first is what has already been read
// from it.
func newWire(conn net.Conn, first []byte, seen *lifeSign, timeout time.Duration) *wire {
	w := &wire{}
	w.init(conn, first, seen, timeout)
	return w
}

// init is newWire where the wire is part of something.
func (w *wire) init(conn net.Conn, first []byte, seen *lifeSign, timeout time.Duration) {
	w.Conn, w.rest, w.seen, w.poll = conn, first, seen, newPoller(conn)
	if continues(conn) {
		w.pace.timeout = timeout
	}
}

// Write implements [net.Conn].
func (w *wire) Write(p []byte) (int, error) {
	if w.pace.timeout == 0 {
		return w.Conn.Write(p)
	}
	return w.pace.write(w.Conn, p)
}

func (w *wire) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(w.rest) == 0 {
		if w.failed != nil {
			return 0, w.failed
		}
		n, err := w.fill(p)
		if n > 0 || err != nil {
			return n, err
		}
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	if len(w.rest) == 0 {
		giveBack(w.buffer)
		w.rest, w.buffer = nil, nil
	}
	return n, nil
}

// await waits until Read need not, where it can do that without holding a buffer.
func (w *wire) await() {
	if w.poll != nil && len(w.rest) == 0 && w.failed == nil {
		_, w.failed = w.fill(nil)
	}
}

// readBytes is how much is asked for in one read.
const readBytes = 16 << 10

// fill waits for bytes and reads them, into p (then n is not 0) where that is as
// good as a buffer, else into rest.
func (w *wire) fill(p []byte) (n int, err error) {
	if w.before != nil {
		w.before()
	}
	direct := len(p) >= readBytes
	switch {
	case w.poll == nil && direct:
		n, err = w.Conn.Read(p)
	case w.poll == nil:
		w.buffer = borrow(readBytes)
		n, err = w.Conn.Read((*w.buffer)[:readBytes])
	case direct:
		_, n, err = w.poll.read(p)
	default:
		w.buffer, n, err = w.poll.read(nil)
	}
	if n == 0 && err == nil {
		err = io.EOF
	}
	if n > 0 {
		err = nil // it will be there next time
		if w.seen != nil {
			w.seen.touch()
		}
	}
	if direct {
		return n, err
	}
	if err != nil {
		giveBack(w.buffer)
		w.buffer = nil
		return 0, err
	}
	w.rest = (*w.buffer)[:n]
	return 0, nil
}

// CloseWrite ends the sending direction, where the connection can do that.
func (w *wire) CloseWrite() error { return closeWrite(w.Conn) }

func closeWrite(conn net.Conn) error {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

package transport

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// This file keeps the write timeout: a write fails when the connection has accepted no byte for that
// long, however long the whole write takes. There are three kinds of connections: pacedConn,
// recordConn and timedBody.

const (
	// slowAfter is how long a write may wait before the connection counts as slow.
	slowAfter = time.Second
	// slowBytes is how much is written to a slow connection at a time: the system accepts such a piece as
	// a whole, and accepts nothing more until the other side has taken it.
	slowBytes = 4 << 10
	// recordBytes is how much is written at a time to a connection whose partial writes cannot be seen,
	// such as TLS: as much as TLS sends in one record.
	recordBytes = 16 << 10
)

// pace is the write deadline of a connection.
type pace struct {
	timeout  time.Duration
	deadline time.Time // in force
	slow     bool      // a write has waited
	taken    *lifeSign // touched when bytes were accepted; nil during the handshake
}

// patience is how long a write waits before the connection counts as slow.
func patience(timeout time.Duration) time.Duration { return min(slowAfter, timeout/4) }

// accepted notes that the connection has accepted n bytes.
func (w *pace) accepted(n int) {
	if n > 0 && w.taken != nil {
		w.taken.touch()
	}
}

// extend moves the deadline so that a write has at least d and at most a quarter more, since moving it
// less often is cheaper.
func (w *pace) extend(conn net.Conn, d time.Duration) (now time.Time) {
	now = time.Now()
	if w.deadline.Sub(now) < d {
		w.set(conn, now.Add(d+d/4))
	}
	return now
}

func (w *pace) set(conn net.Conn, deadline time.Time) {
	w.deadline = deadline
	_ = conn.SetWriteDeadline(deadline) // if it fails, so does the write
}

// pacedConn is a connection on which a write can continue after its deadline has passed, so that each
// byte that the system accepts counts. One goroutine at a time writes.
type pacedConn struct {
	net.Conn
	socket *socket   // nil if the connection is not a socket of the system
	seen   *lifeSign // touched by Read; nil: none
	pace   pace
}

// paceConn returns a *pacedConn for conn, or conn itself if a write to it cannot be continued.
func paceConn(conn net.Conn, timeout time.Duration) net.Conn {
	if _, layered := conn.(layered); layered {
		return conn
	}
	return &pacedConn{Conn: conn, socket: newSocket(conn), pace: pace{timeout: timeout}}
}

func (c *pacedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.seen != nil {
		c.seen.touch()
	}
	return n, err
}

// Write first tries to write without waiting, which needs less of the stack: the first one of a new goroutine, 2 KiB, must
// not grow for a write.
func (c *pacedConn) Write(p []byte) (n int, err error) {
	if c.socket != nil && !c.pace.slow {
		if n, _ = c.tryWrite(p); n == len(p) {
			return n, nil
		}
	}
	return c.writeRest(p, n)
}

// writeRest writes p from its byte n on.
func (c *pacedConn) writeRest(p []byte, n int) (int, error) {
	w := &c.pace
	began := w.extend(c.Conn, patience(w.timeout))
	last := began // when a byte was last accepted
	was := w.slow
	for n < len(p) {
		piece := p[n:]
		if w.slow {
			piece = piece[:min(len(piece), slowBytes)]
			w.set(c.Conn, earlier(time.Now().Add(patience(w.timeout)), last.Add(w.timeout)))
		}
		m, err := c.Conn.Write(piece)
		w.accepted(m)
		n += m
		if err == nil && !w.slow {
			return n, nil
		}
		now := time.Now()
		if m > 0 {
			last = now
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || now.Before(w.deadline) || now.Sub(last) >= w.timeout {
			return n, err
		}
		w.slow = true
	}
	w.slow = !was || time.Since(began) >= patience(w.timeout)
	return n, nil
}

// tryWrite writes what the system accepts without waiting. The connection has a socket.
func (c *pacedConn) tryWrite(p []byte) (int, error) {
	c.pace.extend(c.Conn, patience(c.pace.timeout))
	n, err := c.socket.write(p)
	c.pace.accepted(n)
	return n, err
}

// CloseWrite ends the sending direction, if the connection can do that.
func (c *pacedConn) CloseWrite() error { return closeWrite(c.Conn) }

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// recordConn is a connection on which a write that exceeded its deadline has failed permanently, such
// as TLS: progress is only seen when a piece has been accepted as a whole.
type recordConn struct {
	net.Conn
	pace pace
}

func (c *recordConn) Write(p []byte) (n int, err error) {
	w := &c.pace
	for n < len(p) {
		size := min(len(p)-n, recordBytes)
		if w.slow {
			size = min(size, slowBytes)
		}
		began := w.extend(c.Conn, w.timeout)
		m, err := c.Conn.Write(p[n : n+size])
		w.accepted(m)
		n += m
		if err != nil {
			return n, err
		}
		w.slow = time.Since(began) >= patience(w.timeout)
	}
	return n, nil
}

// timedBody is an HTTP body, which has no deadline: it is closed when a piece is not accepted in time.
type timedBody struct {
	io.ReadWriteCloser
	timeout time.Duration
	taken   *lifeSign
}

func (b *timedBody) Write(p []byte) (n int, err error) {
	var late atomic.Bool
	timer := time.AfterFunc(b.timeout, func() {
		late.Store(true)
		_ = b.Close()
	})
	defer timer.Stop()
	for n < len(p) {
		m, err := b.ReadWriteCloser.Write(p[n:min(n+slowBytes, len(p))])
		n += m
		if late.Load() {
			return n, os.ErrDeadlineExceeded
		}
		if err != nil {
			return n, err
		}
		b.taken.touch()
		timer.Reset(b.timeout)
	}
	return n, nil
}

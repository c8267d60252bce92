package transport

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// slowAfter is for how long a write may wait until the connection counts as slow.
	slowAfter = time.Second
	// slowBytes is how much a slow connection is offered at a time: the system takes what it is offered in one piece,
	// and takes nothing more until the other side has taken that.
	slowBytes = 4 << 10
	// recordBytes is how much a connection is offered at a time of which partial writes cannot be seen,
	// such as TLS: as much as TLS sends in one record.
	recordBytes = 16 << 10
)

// pace writes to a connection that may be slow: a write fails when the connection has taken no byte for
// the timeout, however long the whole takes.
type pace struct {
	mu       sync.Mutex // held by a write: that of the handshake may return when the next one has begun
	timeout  time.Duration
	deadline time.Time // the write deadline in force
	slow     bool      // a write has waited
	taken    *lifeSign // touched when the connection has taken bytes; nil before the handshake
}

// watch has writes touch taken.
func (w *pace) watch(taken *lifeSign) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.taken = taken
}

// took notes that the connection has taken n bytes.
func (w *pace) took(n int) {
	if n > 0 && w.taken != nil {
		w.taken.touch()
	}
}

// patience is for how long a write waits before the connection counts as slow.
func (w *pace) patience() time.Duration { return min(slowAfter, w.timeout/4) }

// extend moves the deadline so that a write has at least d and at most a quarter more, since to move it less often is
// cheaper.
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

// extendTry is extend for a write that does not wait.
func (w *pace) extendTry(conn net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.extend(conn, w.patience())
}

// write writes p to a connection of which a write that has timed out can be continued.
func (w *pace) write(conn net.Conn, p []byte) (n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	began := w.extend(conn, w.patience())
	last := began // when a byte was last taken
	was := w.slow
	for n < len(p) {
		piece := p[n:]
		if w.slow {
			piece = piece[:min(len(piece), slowBytes)]
			w.set(conn, earlier(time.Now().Add(w.patience()), last.Add(w.timeout)))
		}
		m, err := conn.Write(piece)
		w.took(m)
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
	w.slow = !was || time.Since(began) >= w.patience()
	return n, nil
}

// records writes p to a connection of which a write that has timed out has failed permanently, so that
// progress is only seen when a piece has been taken as a whole.
func (w *pace) records(out io.Writer, conn net.Conn, p []byte) error {
	for len(p) > 0 {
		size := min(len(p), recordBytes)
		if w.slow {
			size = min(size, slowBytes)
		}
		began := w.extend(conn, w.timeout)
		if _, err := out.Write(p[:size]); err != nil {
			return err
		}
		w.took(size)
		w.slow = time.Since(began) >= w.patience()
		p = p[size:]
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// continues reports whether a write to the connection that has timed out can be continued. TLS cannot.
func continues(conn net.Conn) bool {
	_, layered := conn.(interface{ NetConn() net.Conn })
	return !layered
}

// paceBelow returns the pace of the wire in which the stream's writes end, nil if there is none that looks after its own
// time.
func paceBelow(stream io.ReadWriteCloser, conn net.Conn) *pace {
	if layered, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = layered.NetConn()
	}
	for _, c := range []any{stream, conn} {
		if w, ok := c.(*wire); ok && w.pace.timeout > 0 {
			return &w.pace
		}
	}
	return nil
}

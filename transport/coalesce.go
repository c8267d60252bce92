package transport

import (
	"cmp"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// link is what coder/websocket takes for the network connection. Data frames
// are encoded here and written many at a time; the library above only reads
// through it and writes control frames, each in one Write call, and those never block: they
// are queued, and go out after the data that is being written, or by a
// goroutine that lives as long as there are any. So a reader is never held up by
// a writer that is stuck. After a close frame, whoever sent it, nothing is
// written any more.
//
// It lies above TLS: a TLS connection has one lock for all its writes, which a
// stuck one would hold.
type link struct {
	// Fixed at construction.
	stream io.ReadWriteCloser
	conn   net.Conn // beneath stream, for deadlines; nil if it is not known
	below  *wire    // what TryWrite writes to; nil if it cannot
	client bool     // then frames are masked
	stamp  bool     // Read touches seen; otherwise a wire below does
	paced  bool     // a wire below looks after the time of writes; otherwise pace does
	limits limits
	seen   lifeSign // bytes were received
	taken  lifeSign // bytes were accepted by the system

	// The reader's. opened is set when the handshake has succeeded; until then
	// there is nothing to read.
	opened  bool
	readErr error                   // what the stream ended with
	meter   func(frames, bytes int) // see Metered; may be nil
	counter frameCounter

	// Whoever set active.
	pace pace

	flushers sync.WaitGroup
	over     atomic.Bool // Close was called or the end has come: nothing is handed out any more

	// mu guards the fields below.
	mu      sync.Mutex
	idle    sync.Cond   // active became false, or the end has come
	active  bool        // someone is writing, and will write control before it stops
	control []byte      // whole control frames that wait
	closing *CloseError // the close frame that was queued last of all
	own     bool        // closing is from Close, not from the library
	linger  *time.Timer
	since   time.Time // when linger was started
	broken  error     // why nothing can be written, while there may be more to read
	end     error     // the end has come
}

func newLink(stream io.ReadWriteCloser, conn net.Conn, client bool, lim limits) *link {
	l := &link{}
	l.init(stream, conn, client, lim)
	return l
}

// init is newLink where the link is part of something.
func (l *link) init(stream io.ReadWriteCloser, conn net.Conn, client bool, lim limits) {
	l.stream, l.conn, l.client, l.stamp, l.limits = stream, conn, client, true, lim
	l.seen.born = time.Now()
	l.taken.born = l.seen.born
	l.idle.L = &l.mu
	l.below = l.socketBelow()
	l.pace.timeout = lim.writeTimeout
	below := paceBelow(stream, conn)
	l.paced = below != nil
	cmp.Or(below, &l.pace).watch(&l.taken)
}

// Read is called by the library, in the reader's goroutine.
func (l *link) Read(p []byte) (int, error) {
	if !l.opened {
		return 0, io.EOF // a failed handshake has no body worth waiting for
	}
	n, err := l.stream.Read(p)
	if n > 0 && l.stamp {
		l.seen.touch()
	}
	if n > 0 && l.meter != nil {
		l.meter(l.counter.add(p[:n]), n)
	}
	if err != nil {
		l.readErr = err
	}
	if errors.Is(err, io.EOF) {
		// The library takes io.EOF inside a frame for the end of the message, and would hand out the half of it.
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Write is called by the library with one control frame. After a close frame
// it drops what it is given and reports success, so that the library goes on reading.
func (l *link) Write(frame []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end != nil {
		return 0, l.end
	}
	if l.closing != nil || l.broken != nil {
		return len(frame), nil
	}
	if err := l.enqueue(frame); err != nil {
		return 0, err
	}
	if frame[0]&0xf == opClose {
		l.closing = parseOwnClose(frame)
	}
	return len(frame), nil
}

// Close is called by the library when it wants no more. If a close frame was
// exchanged the reader ends the link in its own time (retire); otherwise the
// library has given up.
func (l *link) Close() error {
	l.mu.Lock()
	orderly := l.closing != nil || l.end != nil
	l.mu.Unlock()
	if !orderly {
		l.drop(lost(errors.New("given up by the protocol")))
	}
	return nil
}

// enqueue adds control frames. mu is held.
func (l *link) enqueue(frame []byte) error {
	if len(l.control)+len(frame) > maxControlBytes {
		err := lost(errors.New("too many control frames wait behind a stuck writer"))
		l.endLocked(err)
		return err
	}
	l.control = append(l.control, frame...)
	if !l.active {
		l.active = true
		l.flushers.Go(l.drain)
	}
	return nil
}

// drain writes control frames until there are none. The caller has set active.
func (l *link) drain() {
	for {
		out := l.takeControl()
		if out == nil {
			return
		}
		_ = l.writeChunk(out) // recorded in the link
	}
}

// takeControl returns the control frames to write; if there are none it ends
// the caller's turn.
func (l *link) takeControl() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.control
	l.control = nil
	if len(out) == 0 || l.end != nil || l.broken != nil {
		l.active = false
		l.idle.Broadcast()
		return nil
	}
	return out
}

// writeFrames writes data frames and, after them, the control frames that came
// in the meantime.
func (l *link) writeFrames(frames [][]byte) error {
	if err := l.begin(); err != nil {
		return err
	}
	err := l.encode(frames)
	l.drain()
	return err
}

// begin waits for the turn to write.
func (l *link) begin() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch {
		case l.end != nil:
			return l.end
		case l.closing != nil:
			return l.closing
		case l.broken != nil:
			return l.broken
		case !l.active:
			l.active = true
			return nil
		}
		l.idle.Wait()
	}
}

// writeChunk writes to the stream. It fails when no byte is taken for the write timeout. The caller has
// set active.
func (l *link) writeChunk(p []byte) (err error) {
	switch {
	case l.paced:
		_, err = l.stream.Write(p)
	case l.conn != nil:
		err = l.pace.records(l.stream, l.conn, p)
	default:
		err = l.writeTimed(p)
	}
	if err == nil {
		return nil
	}
	return l.writeFailed(err)
}

// writeTimed is writeChunk where there is nothing to set a deadline of.
func (l *link) writeTimed(p []byte) error {
	timer := time.AfterFunc(l.limits.writeTimeout, func() { l.drop(lost(os.ErrDeadlineExceeded)) })
	defer timer.Stop()
	for len(p) > 0 {
		size := min(len(p), slowBytes)
		if _, err := l.stream.Write(p[:size]); err != nil {
			return err
		}
		p = p[size:]
		l.taken.touch()
		timer.Reset(l.limits.writeTimeout)
	}
	return nil
}

// writeFailed ends the link; but if the other side is gone, it may have said
// why before, and the reader gets the linger time to find it.
func (l *link) writeFailed(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end != nil {
		return l.end
	}
	err = lost(err)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		l.endLocked(err)
		return err
	}
	if l.broken == nil {
		l.broken = err
		l.lingerLocked(err)
	}
	return l.broken
}

var _ io.ReadWriteCloser = (*link)(nil)

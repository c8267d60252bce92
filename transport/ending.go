package transport

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"
)

// This file is how a link ends: by a close frame of ours (startClose), at once
// (drop), or because its reader has seen the end (retire).

// startClose queues the close frame and starts the linger time. It returns the
// close in force, which is an older one if there is one, or nil if the end has
// come already.
func (l *link) startClose(code CloseCode, reason string) *CloseError {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing != nil || l.end != nil {
		return l.closing
	}
	ce := newClose(code, reason)
	var payload []byte
	if ce.Code != CloseNoStatus {
		payload = binary.BigEndian.AppendUint16(nil, uint16(ce.Code))
		payload = append(payload, ce.Reason...)
	}
	if l.broken == nil && l.enqueue(l.controlFrame(opClose, payload)) != nil {
		return nil
	}
	l.closing, l.own = ce, true
	l.over.Store(true)
	l.lingerLocked(ce)
	return ce
}

// ping queues a ping. It never blocks.
func (l *link) ping() error {
	frame := l.controlFrame(opPing, nil)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.end != nil:
		return l.end
	case l.closing != nil:
		return l.closing
	case l.broken != nil:
		return l.broken
	}
	return l.enqueue(frame)
}

// drop ends the link at once. The first cause wins.
func (l *link) drop(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endLocked(cause)
}

// endLocked sets the end and closes the socket, which unblocks whoever reads or
// writes. Closing blocks for nothing. mu is held.
func (l *link) endLocked(cause error) {
	if l.end != nil {
		return
	}
	if l.own {
		cause = l.closing
	}
	l.end = cause
	l.over.Store(true)
	l.control = nil
	if l.linger != nil {
		l.linger.Stop()
	}
	l.idle.Broadcast()
	// The socket first: to close TLS in good manners may block for seconds.
	if tls, ok := l.conn.(interface{ NetConn() net.Conn }); ok {
		_ = tls.NetConn().Close()
	}
	_ = l.stream.Close()
}

// lingerLocked ends the link when no byte has flowed in either direction for the linger time, at the latest after the
// write timeout, unless that has been started before. mu is held.
func (l *link) lingerLocked(cause error) {
	if l.linger == nil && l.end == nil {
		l.since = time.Now()
		l.linger = time.AfterFunc(l.limits.linger, func() { l.lookQuiet(cause) })
	}
}

// lookQuiet ends the link if it has been quiet for the linger time.
func (l *link) lookQuiet(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end != nil {
		return
	}
	quiet := l.limits.linger
	if l.active { // a write that waits sees only after its patience that bytes were taken
		quiet += l.pace.patience()
	}
	if wait := l.limits.untilQuiet(quiet, l.since, l.seen.time(), l.taken.time()); wait > 0 {
		l.linger.Reset(wait)
		return
	}
	l.endLocked(cause)
}

// errSilence is the cause when the other side does not take the answer to its close.
var errSilence = errors.New("the other side did not finish the close")

// retire is the reader's last act: it lets the close frame out that may still
// be waiting, closes the socket and waits until no goroutine is left. If
// drain is set, the other side may be in the middle of sending: what comes
// is read and thrown away, since closing a socket with unread data
// makes the system discard the close frame too.
func (l *link) retire(final error, drain bool) {
	l.mu.Lock()
	if l.closing != nil && l.readErr == nil {
		l.lingerLocked(lost(errSilence))
		for l.active && l.end == nil {
			l.idle.Wait()
		}
	} else {
		drain = false
	}
	l.mu.Unlock()
	if drain {
		if l.conn != nil {
			_ = closeWrite(l.conn)
		}
		_, _ = io.Copy(io.Discard, l)
	}
	l.drop(final)
	l.mu.Lock()
	if !l.own {
		l.end = final
	}
	l.mu.Unlock()
	l.flushers.Wait()
}

package redisbackplane

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/transport"
)

// end is one end of a link, a transport.Conn.
type end struct {
	s           *station
	hubID       string // of the other side
	incarnation string
	turn        chan struct{} // holds one thing while a message with a number is being published
	closed      chan struct{} // closed when the close, or the answer to one, has been sent
	ctx         context.Context
	cancel      context.CancelFunc

	mu       sync.Mutex // guards the fields below
	readable sync.Cond
	remote   string   // the other end's incarnation; "" while unknown
	in       []string // received, not yet read
	inBytes  int
	buf      []byte                // what Read returned last
	received uint64                // the last number that came
	sent     uint64                // the last number that Redis has taken
	closing  *transport.CloseError // this side's
	linger   *time.Timer
	after    error // the end, once in has been read
	err      error // what Read returns from now on
	last     time.Time
	pace     pace

	spell spell // guarded by turn
}

var (
	_ transport.Conn = (*end)(nil)
	_ hub.Watched    = (*end)(nil)
)

var (
	errAborted = errors.New("aborted")
	errGap     = errors.New("redisbackplane: a message was lost")
	errSilent  = errors.New("redisbackplane: nothing was heard for too long")
	errUnread  = errors.New("redisbackplane: too much is waiting to be read")
)

const (
	// messageBytes bounds a message with frames; a larger frame goes alone.
	messageBytes = 1 << 20
	lingerTime   = time.Second
	// frameOverhead is what an unread frame counts beyond its length.
	frameOverhead = 32
)

func newEnd(s *station, hubID string, number uint64, other string) *end {
	e := &end{s: s, hubID: hubID, incarnation: s.life + "." + strconv.FormatUint(number, 36),
		turn: make(chan struct{}, 1), closed: make(chan struct{}), remote: other, last: time.Now()}
	e.readable.L = &e.mu
	e.ctx, e.cancel = context.WithCancel(s.ctx)
	return e
}

// lifeOf gives the part of an incarnation that all ends of a hub's life have in common.
func lifeOf(incarnation string) string {
	life, _, _ := strings.Cut(incarnation, ".")
	return life
}

// head begins a message.
func (e *end) head(seq uint64) []byte {
	return appendHead(nil, e.s.inbox.quoted, e.incarnation, e.other(), seq)
}

func (e *end) other() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.remote
}

// learn notes the other end's incarnation; it is false for another one than before.
func (e *end) learn(incarnation string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.remote == "" {
		e.remote = incarnation
	}
	return e.remote == incarnation
}

// say posts a message without a number of its own.
func (e *end) say(what string) {
	e.mu.Lock()
	seq := e.sent
	e.mu.Unlock()
	e.s.out.post(outgoing{hubID: e.hubID, text: string(append(e.head(seq), what...)), end: e})
}

// Read implements [transport.Conn].
func (e *end) Read() ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.err == nil {
		if len(e.in) > 0 {
			return e.nextLocked(), nil
		}
		if e.after != nil {
			e.finishLocked(e.after)
			break
		}
		e.readable.Wait()
	}
	e.buf = nil
	return nil, e.err
}

// TryRead implements [transport.Conn].
func (e *end) TryRead() (msg []byte, ok bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.in) == 0 || e.err != nil {
		return nil, false, e.err
	}
	return e.nextLocked(), true, nil
}

func (e *end) nextLocked() []byte {
	frame := e.in[0]
	e.in[0] = ""
	e.in = e.in[1:]
	e.inBytes -= len(frame) + frameOverhead
	if cap(e.buf) > 64<<10 && len(frame) < 4<<10 {
		e.buf = nil
	}
	e.buf = append(e.buf[:0], frame...)
	return e.buf
}

// TryWrite implements [transport.Conn]: Redis is always waited for.
func (e *end) TryWrite([][]byte) bool { return false }

// Ping implements [transport.Conn]. Links have signs of life of their own.
func (e *end) Ping() error { return errors.ErrUnsupported }

// WholeMessages implements [transport.Conn].
func (e *end) WholeMessages() bool { return false }

// Subprotocol implements [transport.Conn].

// SetMeter implements [transport.Conn]. The other hub is trusted.
func (e *end) SetMeter(transport.Meter) {}

// receive takes a message that is for this end.
func (e *end) receive(m *message) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last = time.Now()
	e.pace.heard(e.last, m.Busy)
	if e.err != nil || e.after != nil {
		return
	}
	numbered := m.texts != nil || m.Close != nil
	switch {
	case numbered && m.Seq <= e.received:
		return // it came twice
	case numbered && m.Seq > e.received+1, !numbered && m.Seq > e.received:
		e.s.b.counters.gaps.Add(1)
		e.loseLocked(errGap)
		return
	case !numbered:
		return
	}
	e.received = m.Seq
	switch {
	case m.Close != nil && e.closing != nil:
		e.finishLocked(e.closing)
	case m.Close != nil:
		e.after = &transport.CloseError{Code: transport.CloseCode(m.Close.Code), Reason: m.Close.Reason, Remote: true}
		e.s.goOn(func() { e.sendClose(m.Close) }) // the answer
	case e.closing != nil: // what comes is discarded
	default:
		for _, f := range m.texts {
			e.inBytes += len(f) + frameOverhead
		}
		e.in = append(e.in, m.texts...)
		if e.inBytes > e.s.b.opts.LinkBytes {
			e.loseLocked(errUnread)
		}
	}
	e.readable.Signal()
}

// Abort implements [transport.Conn]. It resets the other end.
func (e *end) Abort() { e.abandon(true) }

// abandon ends an end that has no reader, or whose reader wants no more: received frames are discarded.
func (e *end) abandon(reset bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err != nil {
		return
	}
	if reset {
		e.resetOtherLocked()
	}
	e.finishLocked(fmt.Errorf("%w: %w", transport.ErrLost, errAborted))
}

// lose ends the link otherwise than by a close, and resets the other end if there can be one. Received frames
// can still be read: an end without a reader must be abandoned instead.
func (e *end) lose(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.loseLocked(err)
}

func (e *end) loseLocked(err error) {
	if e.err != nil || e.after != nil {
		return
	}
	if e.closing == nil {
		e.s.b.counters.linksReset.Add(1)
		e.s.b.log.Info().Str("hub", e.s.hubID).Str("link", e.hubID).Err(err).Msg("link reset")
	}
	if !otherIsGone(err) {
		e.resetOtherLocked()
	}
	if !errors.Is(err, transport.ErrLost) {
		err = fmt.Errorf("%w: %w", transport.ErrLost, err)
	}
	if e.closing != nil || len(e.in) == 0 {
		e.finishLocked(err)
		return
	}
	e.after = err
	e.cancel()
	e.readable.Broadcast()
}

// otherIsGone reports whether a link was lost because the other hub no longer has its end.
func otherIsGone(err error) bool {
	return errors.Is(err, errNobody) || errors.Is(err, errReset) || errors.Is(err, errNewLife)
}

// resetOtherLocked sends a reset to the other end. An end that misses it stays, and calls over it never arrive.
func (e *end) resetOtherLocked() {
	e.s.out.post(outgoing{hubID: e.hubID, keep: true,
		text: string(append(appendHead(nil, e.s.inbox.quoted, e.incarnation, e.remote, 0), `,"reset":true}`...))})
}

// finishLocked ends this end. A close that was begun wins over all.
func (e *end) finishLocked(err error) {
	if e.err != nil {
		return
	}
	if e.closing != nil {
		err = e.closing
	}
	e.err = err
	if e.linger != nil {
		e.linger.Stop()
	}
	e.in, e.inBytes = nil, 0
	e.cancel()
	e.readable.Broadcast()
	e.s.forget(e, e.remote)
}

// LastReceived implements [transport.Conn].
func (e *end) LastReceived() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.last
}

// RemoteAddr implements [transport.Conn].
func (e *end) RemoteAddr() string { return "redis:" + e.hubID }

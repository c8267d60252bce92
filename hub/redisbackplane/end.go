package redisbackplane

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/redis/rueidis"

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
	e.s.out.post(outgoing{e.hubID, string(append(e.head(seq), what...)), e})
}

// Read implements [transport.Conn].
func (e *end) Read() ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.err == nil {
		if len(e.in) > 0 {
			frame := e.in[0]
			e.in[0] = ""
			e.in = e.in[1:]
			e.inBytes -= len(frame) + frameOverhead
			if cap(e.buf) > 64<<10 && len(frame) < 4<<10 {
				e.buf = nil
			}
			e.buf = append(e.buf[:0], frame...)
			return e.buf, nil
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
		e.loseLocked(errGap, true)
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
			e.loseLocked(errUnread, true)
		}
	}
	e.readable.Signal()
}

// Write implements [transport.Conn]: it returns when Redis has taken the frames.
func (e *end) Write(frames [][]byte) error {
	for len(frames) > 0 {
		n, size := 1, len(frames[0])
		for n < len(frames) && size+len(frames[n])+1 <= messageBytes {
			size += len(frames[n]) + 1
			n++
		}
		seq, err := e.begin()
		if err != nil {
			return err
		}
		b := make([]byte, 0, size+256+8*n)
		b = appendFrames(appendHead(b, e.s.inbox.quoted, e.incarnation, e.other(), seq), frames[:n])
		if err := e.publish(e.ctx, seq, b); err != nil {
			return err
		}
		e.s.b.counters.frames.Add(uint64(n))
		frames = frames[n:]
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.refusalLocked()
}

// begin waits for the turn and gives the number of the next message.
func (e *end) begin() (seq uint64, err error) {
	taken := false
	select {
	case e.turn <- struct{}{}:
		taken = true
	case <-e.ctx.Done():
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	err = e.refusalLocked()
	if err == nil {
		return e.sent + 1, nil
	}
	if taken {
		<-e.turn
	}
	return 0, err
}

func (e *end) refusalLocked() error {
	switch {
	case e.err != nil:
		return e.err
	case e.closing != nil:
		return e.closing
	default:
		return e.after
	}
}

// publish sends a message with a number and gives the turn back.
func (e *end) publish(ctx context.Context, seq uint64, text []byte) error {
	b := e.s.b
	bounded, cancel := b.reach.bound(ctx)
	defer cancel()
	n, err := b.client.Do(bounded, b.publish(e.hubID, rueidis.BinaryString(text))).AsInt64()
	err = b.reach.judge(ctx, err)
	if err == nil && n == 0 {
		err = errNobody
	}
	b.counters.published.Add(1)
	e.mu.Lock()
	defer e.mu.Unlock()
	<-e.turn
	if err == nil {
		e.sent = seq
		e.pace.sent = time.Now()
		return nil
	}
	e.loseLocked(err, true)
	return e.refusalLocked()
}

// Close implements [transport.Conn].
func (e *end) Close(code transport.CloseCode, reason string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err != nil || e.closing != nil || e.after != nil {
		return
	}
	if !sendable(code) {
		code, reason = transport.CloseNoStatus, ""
	}
	e.closing = &transport.CloseError{Code: code, Reason: cut(reason)}
	e.linger = time.AfterFunc(lingerTime, func() { e.lose(errAborted, false) })
	c := closing{int(code), e.closing.Reason}
	e.s.goOn(func() { e.sendClose(&c) })
}

// sendClose sends a close, or the answer to one, behind what is being written.
func (e *end) sendClose(c *closing) {
	defer close(e.closed)
	select {
	case e.turn <- struct{}{}:
	case <-e.s.ctx.Done():
		return
	}
	e.mu.Lock()
	seq := e.sent + 1
	e.mu.Unlock()
	b := append(e.head(seq), `,"close":{"code":`...)
	b = strconv.AppendInt(b, int64(c.Code), 10)
	b = append(append(b, `,"reason":`...), quote(c.Reason)...)
	_ = e.publish(e.s.ctx, seq, append(b, `}}`...)) // an error has ended the link
}

// goOn runs something short that belongs to the station, unless that has left.
func (s *station) goOn(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.left {
		s.wg.Go(fn)
	}
}

// sendable and cut are the rules of RFC 6455, as for every Conn.
func sendable(code transport.CloseCode) bool {
	if code == 1004 || code == transport.CloseNoStatus || code == 1006 || code == 1015 {
		return false
	}
	return code >= 1000 && code <= 1014 || code >= 3000 && code <= 4999
}

func cut(reason string) string {
	reason = strings.ToValidUTF8(reason, "\uFFFD")
	if len(reason) <= 123 {
		return reason
	}
	n := 123
	for !utf8.RuneStart(reason[n]) {
		n--
	}
	return reason[:n]
}

// Abort implements [transport.Conn]. The other side is told.
func (e *end) Abort() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err == nil {
		e.tellLocked()
		e.finishLocked(fmt.Errorf("%w: %w", transport.ErrLost, errAborted))
	}
}

// goAway ends the link since the hub leaves, with the close that has been begun, if any.
func (e *end) goAway() {
	e.mu.Lock()
	begun := e.closing != nil
	e.mu.Unlock()
	if begun {
		select {
		case <-e.closed: // it has its deadline
		case <-e.ctx.Done():
		}
	}
	e.lose(errLeft, !begun)
}

// lose ends the link otherwise than by a close; what has been received can still be read.
func (e *end) lose(err error, tell bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.loseLocked(err, tell)
}

func (e *end) loseLocked(err error, tell bool) {
	if e.err != nil || e.after != nil {
		return
	}
	if e.closing == nil {
		e.s.b.counters.linksReset.Add(1)
		e.s.b.log.Info().Str("hub", e.s.hubID).Str("link", e.hubID).Err(err).Msg("link reset")
	}
	if tell {
		e.tellLocked()
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

// tellLocked has the other side reset its end.
func (e *end) tellLocked() {
	e.s.out.post(outgoing{hubID: e.hubID,
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

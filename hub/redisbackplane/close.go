package redisbackplane

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/alkdev/hubspoke/transport"
)

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
	e.linger = time.AfterFunc(lingerTime, func() { e.lose(errAborted) })
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
	bounded, cancel := e.s.b.reach.bound(e.s.ctx)
	defer cancel()
	_ = e.publish(e.s.ctx, bounded, seq, append(b, `}}`...)) // an error has ended the link
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
	if code == 1004 || code == transport.CloseNoStatus || code == 1006 {
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
	if begun {
		e.abandon(false)
		return
	}
	e.lose(errLeft)
}

package spoke

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/redact"
	"github.com/alkdev/hubspoke/internal/registration"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/transport"
)

// errQuit ends the context of the loop when Shutdown has drained the spoke.
var errQuit = errors.New("the spoke has left")

// Run dials, registers, serves and reconnects until
//
//   - ctx ends: it leaves immediately, with the context's error, which wraps [Spoke.LastError] too if
//     the spoke is not registered;
//   - Shutdown has drained it: nil;
//   - a hub refuses the spoke (the header Hubspoke-Refused, or a close code from 4500 to 4999): an error
//     that has the [*transport.HandshakeError] or [*transport.CloseError], and the [*call.Error] of a refused
//     registration, in its chain. A 401 or 403 without the header comes from a server on the way
//     to the hub, and the spoke reconnects. If the hub does not accept the token, the spoke calls Options.Token again: Run
//     returns when it has only tokens that were refused (the same one again, or three different ones over
//     30 s), or, if the spoke had been registered with the token, after 30 s.
//
// It may be called once. It waits for the handlers that it has started; the spoke is [Draining] meanwhile. When it
// returns nothing that it started is left.
func (s *Spoke) Run(ctx context.Context) error {
	t := &s.status
	var again, leaving bool
	t.update(func() { again, t.running, leaving = t.running, true, t.leavingLocked() })
	if again {
		return ErrRunning
	}
	defer close(s.done)
	var err error
	if !leaving {
		err = s.run(ctx)
	}
	if err != nil && ctx.Err() == nil {
		s.log.Error().Err(err).Msg("refused by the hub, stopped")
	}
	t.update(func() { t.last, t.result = err, err })
	s.setState(Draining)
	s.events.target.Close(s.errStopped())
	s.handlers.Wait()
	s.setState(Stopped)
	return err
}

// run makes one connection after the other until the spoke is to stop.
func (s *Spoke) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.quit, func() { cancel(errQuit) })()
	l := &loop{Spoke: s, urls: newURLs(s.opts.URLs, s.opts.Discover != nil), backoff: backoff{low: s.opts.BackoffMin, high: s.opts.BackoffMax}}
	defer l.drop(ErrStopped)
	for {
		s.setState(Connecting)
		a := l.connect(ctx)
		switch {
		case ctx.Err() != nil:
			return s.left(ctx, a.answered)
		case s.status.isLeaving() && !l.session.alive():
			return nil
		case a.refusesOffer():
			l.drop(errRefused)
		case !l.urls.follow(&a):
			l.drop(errMoved)
		case l.refused(&a):
			return a.err
		}
		s.status.update(func() { s.status.last = a.err })
		delay := l.delay(&a)
		s.log.Info().Err(a.err).Dur("delay", delay).Msg("disconnected")
		s.setState(BackingOff)
		select {
		case <-ctx.Done():
		case <-time.After(delay):
		}
		if ctx.Err() != nil {
			return s.left(ctx, false)
		}
	}
}

// left returns the result of Run when its context has ended.
func (s *Spoke) left(ctx context.Context, registered bool) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errQuit):
		return nil
	case registered:
		return cause
	default:
		return s.unregistered(cause)
	}
}

// loop is the state of Run between connections. It belongs to the goroutine of Run.
type loop struct {
	*Spoke
	urls    urls
	tokens  refusals
	backoff backoff
	session *session // the one that is kept, or was until now; nil: none
	kept    bool     // it was kept after the last attempt
}

// attempt is one dial, and how it, or the connection that it made, ended.
type attempt struct {
	url        string // that was dialed
	named      bool   // a hub has named it
	token      string
	offered    bool          // a session was offered
	answered   bool          // the registration was accepted
	registered time.Duration // how long it was
	progressed bool          // the session was resumed and has advanced
	retryAfter time.Duration // the hub asks for at least this
	repeated   bool          // the token was refused before and is the only one
	err        error
}

// drop ends the session, if there is one.
func (l *loop) drop(cause error) {
	se := l.session
	if se == nil {
		return
	}
	l.session = nil
	l.status.update(func() { l.status.session = nil })
	se.finish(cause)
}

// delay returns how long to wait before the next dial.
func (l *loop) delay(a *attempt) time.Duration {
	kept := l.session.alive()
	if a.registered >= l.opts.BackoffReset || a.progressed || l.kept && !kept {
		l.backoff.reset() // the attempts for the old session do not count for the next hub
	}
	l.kept = kept
	delay := l.backoff.next(l.urls.ended(a, kept))
	if !kept {
		return l.urls.choose(max(delay, a.retryAfter), 0)
	}
	third := l.session.window / 3
	return l.urls.choose(min(delay, third), third) // the spoke waits that long for the hub that has the session
}

// connect makes one connection and serves on it until it ends.
func (l *loop) connect(ctx context.Context) (a attempt) {
	a.offered = l.session.alive()
	timeout := l.opts.HandshakeTimeout
	if a.offered && l.urls.named != "" { // the other URL needs its turn within the window
		timeout = min(timeout, l.session.window/3)
	}
	deadline := time.Now().Add(timeout)
	conn, err := l.dial(ctx, deadline, &a)
	if err != nil {
		a.err = err
		return a
	}
	defer conn.Abort()
	c, resumed, err := l.register(ctx, deadline, conn)
	if err != nil {
		a.err = fmt.Errorf("register at %s: %w", redact.URL(a.url), redact.Error(err))
		return a
	}
	a.answered = true
	l.tokens.admitted(a.token)
	named := ""
	if c.answer.Session != nil {
		named = c.answer.Session.URL
	}
	l.urls.registered(a.url, named)
	l.serve(ctx, c, resumed, &a)
	return a
}

// dial chooses a URL, asks for a token, and dials.
func (l *loop) dial(ctx context.Context, deadline time.Time, a *attempt) (conn transport.Conn, err error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if a.url, a.named, err = l.next(ctx, a.offered); err != nil {
		return nil, err
	}
	header := l.opts.Header.Clone()
	if l.opts.Token != nil {
		if a.token, err = runOption(ctx, l.Spoke, "Options.Token", l.opts.Token); err != nil {
			return nil, fmt.Errorf("token: %w", redact.Error(err))
		}
		if header == nil {
			header = http.Header{}
		}
		header.Set("Authorization", "Bearer "+a.token)
	}
	if err := l.tokens.repeated(a.token, time.Now()); err != nil {
		a.repeated = true
		return nil, err
	}
	l.attempts.Add(1)
	if conn, err = l.opts.Dialer.Dial(ctx, a.url, header); err != nil {
		if he, ok := errors.AsType[*transport.HandshakeError](err); ok && he.RetryAfter > 0 {
			l.urls.hold(a.url, min(he.RetryAfter, l.opts.RetryAfterMax))
		}
		return nil, fmt.Errorf("dial %s: %w", redact.URL(a.url), redact.Error(err))
	}
	return conn, nil
}

// runOption calls a function of the options and waits for it. A panic is an error, and so is runtime.Goexit, for which it
// has a goroutine of its own.
func runOption[T any](ctx context.Context, s *Spoke, option string, f func(context.Context) (T, error)) (answer T, err error) {
	returned := make(chan struct{})
	err = errors.New("the function called runtime.Goexit")
	go func() {
		defer close(returned)
		defer func() {
			if p := recover(); p != nil {
				s.counters.Panics.Add(1)
				s.log.Error().Str("option", option).Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Msg("a function of the options panicked")
				err = fmt.Errorf("the function panicked: %v", p)
			}
		}()
		answer, err = f(ctx)
	}()
	<-returned
	return answer, err
}

// register registers on a fresh connection. It offers the session that is kept; the hub's answer shows
// whether that was resumed or a new one begins, and then the old one has ended. A spoke that leaves begins none.
func (l *loop) register(ctx context.Context, deadline time.Time, raw transport.Conn) (c *conn, resumed bool, err error) {
	// The hub answers when the registration has crossed the link.
	timed, cancel := context.WithDeadline(ctx, deadline.Add(peer.CrossingTime(int64(l.offering.registry().Bytes()))))
	defer cancel()
	stop := context.AfterFunc(timed, func() {
		if ctx.Err() != nil { // the hub may have taken the registration
			raw.Close(transport.CloseLeft, "leaving")
		} else {
			raw.Abort()
		}
	})
	offer, offered := l.offering.current(), ""
	reg := l.registration(offer.labels)
	if !l.opts.NoSession {
		reg.Session = &wire.Offer{Window: l.opts.SessionWindow.Milliseconds(), Buffer: int64(l.opts.LogBytes)}
	}
	switch {
	case l.session.alive():
		offered = l.session.id
		reg.Session.ID, reg.Session.Received = offered, l.session.peer.Session().ReceivedCount()
	case l.status.isLeaving():
		return nil, false, errLeaving
	default: // the hub ends its side before it answers
		l.drop(errWindow)
	}
	answer, err := registration.Register(raw, reg, offer.operations)
	if _, refused := errors.AsType[*call.Error](err); refused { // the close code decides whether the spoke reconnects
		err = fmt.Errorf("%w; %w", err, readToEnd(raw))
	}
	if err == nil {
		l.connects.Add(1)
		l.offering.accepted(offer, answer)
		c = &conn{Conn: raw, answer: answer}
		resumed, err = l.open(c, offered)
	}
	if !stop() && err == nil { // the time was up just then
		if err = context.Cause(timed); !l.session.detach(c, err) {
			l.drop(err)
		}
	}
	return c, resumed, err
}

// open resumes the session that was offered, or opens another one if that is what the hub has answered.
func (l *loop) open(c *conn, offered string) (resumed bool, err error) {
	if answer := c.answer.Session; answer != nil && offered != "" && answer.ID == offered {
		if err := l.session.resume(c); err != nil {
			return false, err
		}
		l.resumed.Add(1)
		return true, nil
	}
	l.drop(errNotResumed)
	if l.status.isLeaving() {
		closeUnserved(c, transport.CloseLeft, "leaving")
		return false, errLeaving
	}
	l.session = l.newSession(c)
	if err := l.session.peer.Session().Attach(c.Conn); err != nil {
		return false, err
	}
	l.status.update(func() { l.status.session, l.status.id = l.session, l.session.spokeID })
	return false, nil
}

// serve serves until the connection ends, and joins all that belongs to it but handlers.
func (l *loop) serve(ctx context.Context, c *conn, resumed bool, a *attempt) {
	se, start := l.session, time.Now()
	l.setState(Registered)
	connected, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { se.announce(connected) })
	wg.Go(func() { se.heartbeat(connected, c) })
	ended := se.peer.Start(c.Conn)
	select {
	case a.err = <-ended:
	case <-ctx.Done():
		c.Close(transport.CloseLeft, "leaving")
		l.setState(Draining)
		a.err = <-ended
	}
	cancel()
	wg.Wait()
	a.registered, a.progressed = time.Since(start), resumed && se.peer.Session().Progressed()
	if ctx.Err() == nil && se.detach(c, a.err) {
		return
	}
	a.retryAfter = c.retryAfter // for a new session, not for one that is kept
	l.drop(a.err)
}

// closeUnserved closes a connection that has no reader, and waits until the close frame has arrived or
// its timeout expires.
func closeUnserved(conn transport.Conn, code transport.CloseCode, reason string) {
	conn.Close(code, reason)
	_ = readToEnd(conn)
}

// readToEnd drops what arrives, and returns why the connection ended.
func readToEnd(conn transport.Conn) error {
	for {
		if _, err := conn.Read(); err != nil {
			return err
		}
	}
}

package spoke

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/redact"
	"github.com/alkdev/hubspoke/transport"
)

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
// It may be called once. When it returns nothing that it started is left.
func (s *Spoke) Run(ctx context.Context) error {
	s.mu.Lock()
	if s.running {
		s.mu.Unlock()
		return ErrRunning
	}
	s.running = true
	stopping := s.stopping
	s.mu.Unlock()
	defer close(s.done)
	defer s.stopped()
	if stopping {
		return nil
	}
	err := s.loop(ctx)
	s.ended.Store(&err)
	if err != nil && ctx.Err() == nil {
		s.log.Error().Err(err).Msg("refused by the hub, stopped")
	}
	return err
}

// stopped tells everyone who waits for a connection that none will come.
func (s *Spoke) stopped() {
	s.mu.Lock()
	s.stopping = true
	s.setLinkLocked(nil)
	s.mu.Unlock()
	s.events.target.Close(s.errStopped())
	s.handlers.Wait()
	s.state.set(Stopped)
}

// end is how a connection, or the attempt to make one, ended.
type end struct {
	err        error
	final      bool          // the spoke stops
	url        string        // that was dialed
	named      bool          // a hub has named it
	offered    bool          // a session was offered
	answered   bool          // the registration was
	registered time.Duration // how long it was
	progressed bool          // the session was resumed and has advanced
	retryAfter time.Duration // the hub asks for at least this
}

func (s *Spoke) loop(ctx context.Context) error {
	b := backoff{low: s.opts.BackoffMin, high: s.opts.BackoffMax}
	defer func() { s.drop(ErrStopped) }()
	to := targets{rotation: rotation{urls: s.opts.URLs}}
	var tokens refusals
	waited := false // for a session to go on
	for {
		s.state.set(Connecting)
		e := s.connect(ctx, &to, &tokens)
		switch {
		case s.quit.Err() != nil, s.isStopping() && !s.held.alive():
			return nil
		case ctx.Err() != nil && e.answered:
			return context.Cause(ctx)
		case ctx.Err() != nil:
			return s.unregistered(context.Cause(ctx))
		case e.giveUp():
			s.drop(errRefused)
		case e.final:
			return e.err
		}
		s.last.Store(&e.err)
		if e.registered >= s.opts.BackoffReset || e.progressed || waited && !s.held.alive() {
			b.reset() // the attempts for the old session do not count for the next hub
		}
		waited = s.held.alive()
		delay := b.next(0)
		if waited { // its hub has it, for a while
			delay = min(delay, s.held.window/3)
		}
		elsewhere, moved := e.elsewhere()
		moved = moved && waited
		if moved && !to.move(e.url, elsewhere) {
			moved, waited = false, false
			s.drop(errMoved)
		}
		if to.named == "" && (!waited || isConnectionRefused(e.err)) { // a machine where nothing listens holds no session
			to.advance()
		}
		delay = max(delay, e.retryAfter)
		switch {
		case moved:
			delay = 0
		case !waited:
			delay = to.settle(delay, 0)
		case !to.namedNext(delay):
			delay = to.settle(delay, s.held.window/3) // it waits that long for the hub that has the session
		}
		s.log.Info().Err(e.err).Dur("delay", delay).Msg("disconnected; coming back")
		if !s.pause(ctx, delay) {
			if s.quit.Err() != nil {
				return nil
			}
			return s.unregistered(context.Cause(ctx))
		}
	}
}

// giveUp reports whether the registration was refused in a way that ends the session that it offered and not
// the spoke (protocol section 8): the spoke then registers with a new session at its own URLs.
func (e *end) giveUp() bool {
	if !e.offered || e.answered {
		return false
	}
	if he, ok := errors.AsType[*transport.HandshakeError](e.err); ok {
		return e.named && (he.Status == http.StatusUnauthorized || he.Status == http.StatusForbidden)
	}
	ce, ok := errors.AsType[*transport.CloseError](e.err)
	switch {
	case !ok || !ce.Remote || !ce.Code.Terminal() || ce.Code == transport.CloseReplaced || ce.Code == transport.CloseKicked:
		return false
	case ce.Code == transport.CloseRegistrationRefused:
		return true
	}
	return e.named
}

// elsewhere returns the URL that a hub has named for resuming the session, "" if it names none.
func (e *end) elsewhere() (named string, moved bool) {
	ce, ok := errors.AsType[*transport.CloseError](e.err)
	if e.answered || !ok || !ce.Remote || ce.Code != transport.CloseResumeElsewhere {
		return "", false
	}
	if refusal, ok := errors.AsType[*call.Error](e.err); ok {
		_ = jsonscan.Decode(refusal.Details, jsonscan.StringField("url", &named)) // "" is not followed
	}
	return named, true
}

// pause waits for the delay; it is false when Run is to end.
func (s *Spoke) pause(ctx context.Context, delay time.Duration) bool {
	s.state.set(BackingOff)
	t := time.NewTimer(delay)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-s.quit.Done():
	}
	return false
}

// connect makes one connection and stays with it to its end.
func (s *Spoke) connect(ctx context.Context, to *targets, tokens *refusals) (e end) {
	e.offered = s.held.alive()
	e.url, e.named = to.next(e.offered)
	timeout := s.opts.HandshakeTimeout
	if e.offered && to.named != "" { // the other URL needs its turn within the window
		timeout = min(timeout, s.held.window/3)
	}
	deadline := time.Now().Add(timeout)
	openCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.quit, cancel)()
	dialCtx, stopDialing := context.WithDeadline(openCtx, deadline)
	defer stopDialing()
	token := ""
	defer func() {
		switch {
		case e.giveUp(): // does not concern the spoke's own URLs
		case !e.answered && tokens.note(token, e.err, time.Now()), terminal(e.err):
			e.final = true
		}
	}()
	if s.opts.Token != nil {
		var err error
		if token, err = s.token(dialCtx); err != nil {
			e.err = fmt.Errorf("token: %w", redact.Error(err))
			return e
		}
	}
	if refusal := tokens.repeated(token, time.Now()); refusal != nil {
		e.err, e.final = refusal, true
		return e
	}
	s.attempts.Add(1)
	conn, err := s.opts.Dialer.Dial(dialCtx, e.url, s.header(token))
	if err != nil {
		if he, ok := errors.AsType[*transport.HandshakeError](err); ok && he.RetryAfter > 0 {
			to.hold(e.url, min(he.RetryAfter, s.opts.RetryAfterMax))
		}
		e.err = fmt.Errorf("dial %s: %w", redact.URL(e.url), redact.Error(err))
		return e
	}
	defer conn.Abort()
	// The hub answers when the registration has crossed the link.
	registerCtx, stopRegistering := context.WithDeadline(openCtx, deadline.Add(peer.CrossingTime(int64(s.operations.Bytes()))))
	defer stopRegistering()
	stop := context.AfterFunc(registerCtx, func() {
		if ctx.Err() != nil || s.quit.Err() != nil { // the hub may have taken the registration
			conn.Close(transport.CloseLeft, "leaving")
		} else {
			conn.Abort()
		}
	})
	l, resumed, err := s.register(conn)
	if err != nil && l == nil {
		err = withClose(conn, err) // within the time of the handshake
	}
	if !stop() && err == nil {
		err = context.Cause(registerCtx)
	}
	if err != nil && l != nil && !l.wait(l.now.Load(), err) { // the time was up just then
		s.drop(err)
	}
	if err != nil {
		e.err = fmt.Errorf("register at %s: %w", redact.URL(e.url), redact.Error(err))
		return e
	}
	tokens.admitted(token)
	if answer := l.now.Load().registered.Session; answer != nil {
		to.registered(e.url, answer.URL)
	}
	e.answered = true
	s.stay(ctx, l, resumed, &e)
	return e
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

// header returns what is sent along with the handshake.
func (s *Spoke) header(token string) http.Header {
	header := s.opts.Header.Clone()
	if s.opts.Token != nil {
		if header == nil {
			header = http.Header{}
		}
		header.Set("Authorization", "Bearer "+token)
	}
	return header
}

// withClose adds the close code that follows a refusal, which decides whether the spoke reconnects.
func withClose(conn transport.Conn, err error) error {
	if _, ok := errors.AsType[*call.Error](err); !ok {
		return err
	}
	return fmt.Errorf("%w; %w", err, readToEnd(conn))
}

// token asks Options.Token. A panic is a failed attempt.
func (s *Spoke) token(ctx context.Context) (token string, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error().Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Msg("Options.Token panicked")
			token, err = "", fmt.Errorf("the function panicked: %v", p)
		}
	}()
	return s.opts.Token(ctx)
}

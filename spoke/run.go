package spoke

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"syscall"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/transport"
)

// Run dials, registers, serves and reconnects until
//
//   - ctx ends: it leaves at once, with the context's error;
//   - Shutdown has drained it: nil;
//   - a hub says stop (HTTP 401 or 403, or a close code from 4500 to 4999): an error that
//     has the [*transport.HandshakeError] or [*transport.CloseError], and the [*call.Error] of a refused
//     registration, in its chain.
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
	if err != nil && ctx.Err() == nil {
		s.log.Error().Err(err).Msg("the hub says stop")
	}
	return err
}

// stopped tells everyone who waits for a connection that none will come.
func (s *Spoke) stopped() {
	s.mu.Lock()
	s.stopping = true
	s.link = nil
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
	s.events.close()
	s.handlers.Wait()
	s.state.set(Stopped)
}

// end is how a connection, or the attempt to make one, ended.
type end struct {
	err        error
	registered time.Duration // how long it was
	retryAfter time.Duration // the hub asks for at least this
}

func (s *Spoke) loop(ctx context.Context) error {
	b := backoff{low: s.opts.BackoffMin, high: s.opts.BackoffMax}
	defer func() { s.drop(ErrStopped) }()
	turn := 0
	waited := false // for a session to go on
	for {
		s.state.set(Connecting)
		e := s.connect(ctx, s.opts.URLs[turn%len(s.opts.URLs)])
		switch {
		case s.quit.Err() != nil, s.isStopping() && !s.held.alive():
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case terminal(e.err):
			return e.err
		}
		if e.registered >= s.opts.BackoffReset || waited && !s.held.alive() {
			b.reset() // the tries for a session that is given up say nothing of the next hub
		}
		waited = s.held.alive()
		delay := b.next(0)
		if waited { // its hub has it, for a while
			delay = min(delay, s.held.window/3)
		}
		if !waited || errors.Is(e.err, syscall.ECONNREFUSED) { // where nobody listens there is no session either
			turn++
		}
		delay = max(delay, e.retryAfter)
		s.log.Info().Err(e.err).Dur("delay", delay).Msg("disconnected; coming back")
		if !s.pause(ctx, delay) {
			if s.quit.Err() != nil {
				return nil
			}
			return context.Cause(ctx)
		}
	}
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

// terminal says after which ends a spoke stays away (protocol sections 1 and 7).
func terminal(err error) bool {
	if ce, ok := errors.AsType[*transport.CloseError](err); ok && ce.Remote {
		return ce.Code.Terminal()
	}
	if he, ok := errors.AsType[*transport.HandshakeError](err); ok {
		return he.Status == http.StatusUnauthorized || he.Status == http.StatusForbidden
	}
	return false
}

// connect makes one connection and stays with it to its end.
func (s *Spoke) connect(ctx context.Context, url string) end {
	dialCtx, cancel := context.WithTimeout(ctx, s.opts.HandshakeTimeout)
	defer cancel()
	defer context.AfterFunc(s.quit, cancel)()
	s.attempts.Add(1)
	conn, err := s.dial(dialCtx, url)
	if err != nil {
		e := end{err: fmt.Errorf("dial %s: %w", url, err)}
		if he, ok := errors.AsType[*transport.HandshakeError](err); ok {
			e.retryAfter = he.RetryAfter
		}
		return e
	}
	defer conn.Abort()
	stop := context.AfterFunc(dialCtx, conn.Abort)
	l, resumed, err := s.register(conn)
	if err != nil && l == nil {
		err = withClose(conn, err) // within the time of the handshake
	}
	if !stop() && err == nil {
		err = context.Cause(dialCtx)
	}
	if err != nil && l != nil && !l.wait(l.now.Load(), err) { // the time was up just then
		s.drop(err)
	}
	if err != nil {
		return end{err: fmt.Errorf("register at %s: %w", url, err)}
	}
	return s.stay(ctx, l, resumed)
}

func (s *Spoke) dial(ctx context.Context, url string) (transport.Conn, error) {
	header := s.opts.Header.Clone()
	if s.opts.Token != nil {
		token, err := s.opts.Token(ctx)
		if err != nil {
			return nil, fmt.Errorf("token: %w", err)
		}
		if header == nil {
			header = http.Header{}
		}
		header.Set("Authorization", "Bearer "+token)
	}
	return s.opts.Dialer.Dial(ctx, url, header)
}

// withClose reads on after a refusal to the close code, which says whether to
// come back.
func withClose(conn transport.Conn, err error) error {
	if _, ok := errors.AsType[*call.Error](err); !ok {
		return err
	}
	for {
		if _, rerr := conn.Read(); rerr != nil {
			return fmt.Errorf("%w; %w", err, rerr)
		}
	}
}

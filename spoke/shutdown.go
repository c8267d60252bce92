package spoke

import (
	"context"

	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/transport"
)

// Shutdown leaves in order: it tells the hub, which sends nothing new, waits
// until the calls in flight have ended, sends what is left, and closes with 1000; Run then returns
// nil. When ctx ends first, the connection is closed as it is and the context's error returned. It
// may be called from a handler, whose own call then holds it up until ctx ends, and more than once.
func (s *Spoke) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	first := !s.stopping
	s.stopping = true
	l, running := s.link, s.running
	s.mu.Unlock()
	if first {
		s.state.set(Draining)
	}
	var err error
	if l != nil {
		_ = l.peer.Post(peer.TypeDrain, nil) // fails only when the session has ended
		err = l.peer.Idle(ctx)
		if ctx.Err() == nil {
			err = nil // the session ended first: there is nothing left to wait for
		}
		l.hangUp(transport.CloseNormal, "leaving")
	}
	s.sayQuit()
	if !running {
		s.state.set(Stopped)
		return err
	}
	select {
	case <-s.done:
	case <-ctx.Done():
		if l != nil {
			l.peer.End(context.Cause(ctx))
			l.now.Load().conn.Abort()
		}
		if err == nil {
			err = context.Cause(ctx)
		}
	}
	return err
}

package spoke

import (
	"context"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/transport"
)

// ErrDraining is wrapped by the errors of calls that this spoke refuses or ends because it drains. It does not
// travel: the error of a call that the hub, or another spoke, refuses or ends for that reason is UNAVAILABLE without it.
var ErrDraining = peer.ErrDraining

func draining() *call.Error { return peer.Draining("the spoke") }

// Shutdown leaves in order: it notifies the hub, which sends nothing new, refuses the requests that are on their way (for
// which it waits at most [Options.HeartbeatTimeout]), waits until
// the calls in flight have ended (streams are ended after [Options.StreamGrace]), sends what is left, and closes with 4008
// (left); Run then returns nil. When ctx ends first, the calls in flight end, the connection is closed
// with 4008 too, and Shutdown returns the context's error. A connection that is lost meanwhile is made
// again for the calls in flight; no new session is opened. Shutdown may be called from a handler, whose
// own call then holds it up until ctx ends, and more than once.
func (s *Spoke) Shutdown(ctx context.Context) error {
	s.setState(Draining)
	s.status.mu.Lock()
	running, se := s.status.running, s.status.currentLocked()
	s.status.mu.Unlock()
	var err error
	if s.opts.StreamGrace >= 0 {
		defer time.AfterFunc(s.opts.StreamGrace, func() { s.endStreams(se) }).Stop()
	}
	if se != nil {
		se.drain()
		// Requests that the hub has sent before it knew are answered, not cut off. A hub that does not answer has lost them.
		seen, cancel := context.WithTimeout(ctx, s.opts.HeartbeatTimeout)
		_ = se.peer.RoundTrip(seen)
		cancel()
		err = se.peer.Idle(ctx)
		if ctx.Err() == nil {
			err = nil // the session ended first: there is nothing left to wait for
		}
		se.close(transport.CloseLeft, "leaving")
	}
	s.quitNow()
	if !running {
		s.events.target.Close(ErrStopped)
		s.setState(Stopped)
		return err
	}
	select {
	case <-s.done:
	case <-ctx.Done():
		if se != nil {
			se.peer.End(context.Cause(ctx)) // the close frame is on its way
		}
		if err == nil {
			err = context.Cause(ctx)
		}
	}
	return err
}

// endStreams ends the streams that have had their time to end by themselves.
func (s *Spoke) endStreams(se *session) {
	s.log.Info().Msg("streams ended; the spoke is draining")
	s.cancelStreams(draining())
	if se != nil {
		se.peer.CancelStreams(draining())
	}
}

// untilStreamsEnd returns a context for a stream that the program reads.
func (s *Spoke) untilStreamsEnd(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.streams, func() { cancel(context.Cause(s.streams)) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

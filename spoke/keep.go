package spoke

import (
	"context"
	"errors"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/session"
)

// keep registers changed operations again. It ends with ctx, which is the connection's.
func (l *link) keep(ctx context.Context, a *attachment) {
	changed := a.changed
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			changed = l.spoke.operations.Changed()
			again = l.registerAgain(ctx)
		case <-again:
			again = l.registerAgain(ctx)
		}
	}
}

// registerAgainAfter is the pause before a registration is repeated at a hub that was too busy.
const registerAgainAfter = time.Second

// registerAgain registers what the spoke serves now. A hub that refuses
// keeps the old registration; that is logged. If the hub was too busy, the channel reports when to repeat it.
func (l *link) registerAgain(ctx context.Context) <-chan time.Time {
	changed := l.spoke.operations.Changed()
	reg := l.spoke.registration()
	reg.SpokeID = l.spokeID
	req, err := peer.RegisterRequest(reg)
	if err == nil {
		req.Timeout = l.registerTimeout()
		_, err = l.peer.Call(ctx, req)
	}
	if ctx.Err() != nil {
		return nil // the next registration has the change
	}
	if err != nil && !errors.Is(err, call.CodeDisconnected) {
		l.spoke.log.Error().Err(err).Msg("the hub refused the changed operations; the earlier ones stay registered")
	}
	e, ok := errors.AsType[*call.Error](err)
	switch {
	case err == nil:
		l.spoke.settle(reg.Operations, nil)
	case ok && (e.Retryable || e.Code == call.CodeTimeout):
		return time.After(registerAgainAfter)
	case ok && e.Code != call.CodeDisconnected && e.Code != call.CodeAborted:
		l.spoke.settle(nil, changed)
	}
	return nil
}

// registerTimeout is the time for another registration on a live connection. Both queues may be full, and it has to cross
// behind what they hold: sent again, it would only make them longer.
func (l *link) registerTimeout() time.Duration {
	theirs := int64(session.DefaultBufferBytes)
	if s := l.now.Load().registered.Session; s != nil && s.Buffer > 0 {
		theirs = s.Buffer
	}
	ahead := int64(l.spoke.opts.LogBytes) + theirs + int64(l.spoke.operations.Bytes())
	return l.spoke.opts.HandshakeTimeout + peer.CrossingTime(ahead)
}

// settle notes the operations that the hub has taken, or the state of the registry that it has refused.
func (s *Spoke) settle(taken []call.Operation, refusedAt <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refusedAt = refusedAt; refusedAt == nil {
		s.taken = taken
	}
}

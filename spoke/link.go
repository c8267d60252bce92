package spoke

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/transport"
)

// link is one session with a hub, and its connection of the moment. A session
// that cannot be resumed ends with its connection.
type link struct {
	spoke      *Spoke
	spokeID    string
	hubID      string
	log        zerolog.Logger
	sessionID  string        // "" where the session cannot be resumed
	window     time.Duration // how long it waits for a connection
	peer       *peer.Peer
	wg         sync.WaitGroup
	now        atomic.Pointer[attachment]
	retryAfter atomic.Int64 // ms that the hub asked for when it began to drain
	hubDrains  atomic.Bool  // the hub has sent __drain on this connection
}

// attachment is one connection of a session.
type attachment struct {
	conn       transport.Conn
	registered *wire.Registered
	changed    <-chan struct{} // closed when the operations are not those that were registered
}

var (
	errNotResumed = errors.New("the connection was lost and the hub did not resume the session")
	errRefused    = errors.New("the connection was lost and the session was refused")
	errMoved      = errors.New("the connection was lost and no hub resumed the session")
	errLeaving    = errors.New("the spoke is leaving and opens no new session")
	errWindow     = errors.New("the connection was lost and the session was not resumed in time")
)

// newLink makes the session of a registration.
func (s *Spoke) newLink(a *attachment) *link {
	got := a.registered
	l := &link{spoke: s, spokeID: got.SpokeID}
	if got.Session != nil && got.Session.Window > 0 {
		l.sessionID = got.Session.ID
		l.window = time.Duration(got.Session.Window) * time.Millisecond
	}
	log := s.log.With().Str("hub", got.HubID).Str("spoke", got.SpokeID).Str("connection", got.ConnectionID).Logger()
	l.log, l.hubID = log, got.HubID
	sess := session.New(session.Options{LimitBytes: s.opts.LogBytes, Owner: l, Resumable: l.sessionID != "",
		Interval: time.Duration(got.HeartbeatInterval) * time.Millisecond})
	l.peer = peer.New(context.Background(), peer.Config{
		Session: sess, Side: l, IDPrefix: s.instanceID[:8] + "-", MaxDepth: s.opts.MaxDepth,
		MaxInFlight: s.opts.MaxInFlight, Limit: "spoke.Options.MaxInFlight",
		Running: &s.leftover, Counters: &s.counters,
	})
	l.adopt(a)
	log.Info().Int64("generation", got.Generation).Msg("registered")
	return l
}

// adopt takes over what the answer to each registration announces.
func (l *link) adopt(a *attachment) {
	l.now.Store(a)
	l.peer.SetRemote(a.registered.MaxMessageBytes, 0)
	if a.registered.Session != nil {
		l.peer.Session().SetPeerBuffer(a.registered.Session.Buffer)
	}
	l.peer.SetMaxDepth(cmp.Or(a.registered.MaxDepth, wire.DefaultMaxDepth))
	l.retryAfter.Store(0)
	l.hubDrains.Store(false)
}

// hangUp closes the connection of the moment.
func (l *link) hangUp(code transport.CloseCode, reason string) { l.now.Load().conn.Close(code, reason) }

// alive reports whether the session has not ended.
func (l *link) alive() bool { return l != nil && l.peer.Session().Cause() == nil }

// finish ends the session. It does not wait for handlers: one that is slow to see
// that its context has ended must not keep the spoke from coming back. Run joins them.
func (l *link) finish(err error) {
	l.peer.End(err)
	l.spoke.events.target.Detach(l.peer)
	l.now.Load().conn.Abort()
	l.wg.Wait()
	l.spoke.handlers.Go(l.peer.Wait)
}

// expire ends a session that has waited for its window. The rest of finish is left
// to the loop, which has the session in hand.
func (l *link) expire(lost *attachment) {
	if l.now.Load() == lost && !l.peer.Session().Attached() {
		l.peer.End(errWindow)
		l.now.Load().conn.Abort() // of one that has come at this moment
	}
}

var (
	_ peer.Side     = (*link)(nil)
	_ session.Owner = (*link)(nil)
)

// Slow implements [session.Owner].
func (l *link) Slow() { l.hangUp(transport.CloseGoingAway, "what it is sent is not read") }

// Log implements [peer.Side].
func (l *link) Log() *zerolog.Logger { return &l.log }

// Ends implements [peer.Side].
func (l *link) Ends() (this, other string) { return "spoke " + l.spokeID, "hub " + l.hubID }

// Route implements [peer.Side]: a spoke forwards nothing.
func (l *link) Route(*peer.Incoming) bool { return false }

// MadeFor implements [peer.Side].
func (l *link) MadeFor(id string) (*peer.Incoming, bool) { return l.peer.MadeFor(id) }

// Event implements [peer.Side].
func (l *link) Event(topic string, payload []byte, err error) {
	l.spoke.events.received(topic, payload, err)
}

// Control implements [peer.Side].
func (l *link) Control(m *wire.Message) bool {
	if m.Type == wire.Drain {
		l.hubDrains.Store(true)
		l.retryAfter.Store(min(max(m.RetryAfter, 0), time.Hour.Milliseconds()))
		return true
	}
	return l.spoke.events.control(m)
}

// Serve implements [peer.Side].
func (l *link) Serve(_ context.Context, in *peer.Incoming) *call.Error {
	if l.spoke.State() == Draining && in.Request.ParentID == "" {
		return draining()
	}
	_, h, ok := l.spoke.operations.Lookup(in.Request.Operation)
	if !ok {
		return &call.Error{Code: call.CodeOperationNotFound, Retryable: true,
			Message: fmt.Sprintf("operation %q not found: spoke %s does not serve it", in.Request.Operation, l.spokeID)}
	}
	return in.Handle(h)
}

// Streams implements [peer.Side].
func (l *link) Streams(operation string) bool {
	op, _, ok := l.spoke.operations.Lookup(operation)
	return ok && op.Streams()
}

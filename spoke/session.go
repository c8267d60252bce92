package spoke

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
	outbound "github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/transport"
)

// session is what the spoke shares with a hub. It has one connection at a time, and survives its loss if it has an id.
type session struct {
	spoke   *Spoke
	id      string // "" if it cannot be resumed
	spokeID string
	hubID   string
	log     zerolog.Logger
	window  time.Duration // how long it is kept without a connection
	peer    *peer.Peer
	conn    atomic.Pointer[conn]
	expiry  *time.Timer // ends the session; nil before the first connection is lost. It belongs to the goroutine of Run
}

// conn is one connection of a session.
type conn struct {
	transport.Conn
	answer *wire.Registered // to its registration

	// The reader's; Run reads them when it has received the end of the connection from the channel of peer.Start:
	drains     bool          // the hub has sent __drain
	retryAfter time.Duration // and asked the spoke to wait at least this long
}

// Why a session ends that was not resumed.
var (
	errNotResumed = errors.New("the connection was lost and the hub did not resume the session")
	errRefused    = errors.New("the connection was lost and the session was refused")
	errMoved      = errors.New("the connection was lost and no hub resumed the session")
	errLeaving    = errors.New("the spoke is leaving and opens no new session")
	errWindow     = errors.New("the connection was lost and the session was not resumed in time")
)

// newSession makes the session that a registration has opened, and asks for the spoke's subscriptions.
func (s *Spoke) newSession(c *conn) *session {
	a := c.answer
	se := &session{spoke: s, spokeID: a.SpokeID, hubID: a.HubID}
	if a.Session != nil && a.Session.Window > 0 {
		se.id = a.Session.ID
		se.window = time.Duration(a.Session.Window) * time.Millisecond
	}
	se.log = s.log.With().Str("hub", a.HubID).Str("spoke", a.SpokeID).Str("connection", a.ConnectionID).Logger()
	se.peer = peer.New(context.Background(), peer.Config{
		Session: outbound.New(outbound.Options{LimitBytes: s.opts.LogBytes, Owner: se, Resumable: se.id != "",
			Interval: time.Duration(a.HeartbeatInterval) * time.Millisecond}),
		Side: se, IDPrefix: s.instanceID[:8] + "-", MaxDepth: s.opts.MaxDepth,
		MaxInFlight: s.opts.MaxInFlight, Limit: "spoke.Options.MaxInFlight",
		Running: &s.leftover, Counters: &s.counters,
	})
	se.adopt(c)
	s.events.target.Attach(se.peer)
	se.log.Info().Int64("generation", a.Generation).Msg("registered")
	return se
}

// adopt makes c the connection, with what the answer to its registration announces.
func (se *session) adopt(c *conn) {
	se.conn.Store(c)
	se.peer.SetRemote(c.answer.MaxMessageBytes, 0)
	if c.answer.Session != nil {
		se.peer.Session().SetPeerBuffer(c.answer.Session.Buffer)
	}
	se.peer.SetMaxDepth(cmp.Or(c.answer.MaxDepth, wire.DefaultMaxDepth))
}

// drainFrame announces that the spoke leaves.
var drainFrame = wire.AppendBare(nil, wire.Drain)

// resume continues on another connection (protocol section 8). It fails too if the window has expired meanwhile.
func (se *session) resume(c *conn) error {
	received := c.answer.Session.Received
	if err := se.peer.Session().Check(received); err != nil {
		se.peer.End(err)
		closeUnserved(c, transport.CloseProtocolError, "the session cannot be resumed: "+err.Error())
		return fmt.Errorf("resume: %w", err)
	}
	drained := se.spoke.status.isLeaving()
	if drained { // the first frame, and again for a hub that has not received it
		if err := c.Write([][]byte{drainFrame}); err != nil {
			return fmt.Errorf("resume: %w", err)
		}
	}
	se.adopt(c)
	if err := se.peer.Session().Resume(c.Conn, received); err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	if !drained && se.spoke.status.isLeaving() { // Shutdown may have found no connection
		se.drain()
	}
	se.log.Info().Int64("generation", c.answer.Generation).Msg("session resumed")
	return nil
}

// drain announces that the spoke leaves, if there is a connection.
func (se *session) drain() { _ = se.peer.PostBare(wire.Drain) } // fails only when the session has ended

// detach keeps the session without c, which was lost with err, until its window expires. It returns false if the session
// ends with c.
func (se *session) detach(c *conn, err error) bool {
	if se.id == "" || !keepsSession(err, c.drains) || !se.alive() {
		return false
	}
	se.peer.Session().Detach(c.Conn)
	se.expiry = time.AfterFunc(se.window, func() { se.expire(c) })
	return true
}

// keepsSession reports after which ends of a connection the spoke offers its session (protocol section
// 7): the hub knows whether it can be resumed. Drains reports that the hub has sent __drain on this connection.
func keepsSession(err error, drains bool) bool {
	ce, ok := errors.AsType[*transport.CloseError](err)
	switch {
	case !ok:
		return true
	case ce.Remote:
		return !ce.Code.Terminal() && !(drains && ce.Code == transport.CloseServiceRestart)
	}
	switch ce.Code {
	case transport.CloseLeft:
		return false
	case transport.CloseProtocolError, transport.CloseUnsupportedData, transport.CloseInvalidFrame, transport.CloseMessageTooBig:
		return false // the frame that could not be read would be sent again
	}
	return true
}

// expire ends a session that was detached from lost for its window. The loop drops it.
func (se *session) expire(lost *conn) {
	if se.conn.Load() == lost && !se.peer.Session().Attached() {
		se.end(errWindow)
	}
}

// alive reports whether the session has not ended.
func (se *session) alive() bool {
	if se == nil {
		return false
	}
	select {
	case <-se.peer.Session().Done():
		return false
	default:
		return true
	}
}

// close closes the connection.
func (se *session) close(code transport.CloseCode, reason string) {
	se.conn.Load().Close(code, reason)
}

// end ends everything that is in flight, and the connection.
func (se *session) end(err error) {
	se.peer.End(err)
	se.conn.Load().Abort()
}

// finish ends the session and all that belongs to it. It does not wait for handlers: one that is slow to notice
// that its context has ended must not keep the spoke from reconnecting. Run joins them before it returns.
func (se *session) finish(err error) {
	se.end(err)
	if se.expiry != nil {
		se.expiry.Stop()
	}
	se.spoke.events.target.Detach(se.peer)
	se.spoke.handlers.Go(se.peer.Wait)
}

var (
	_ peer.Side      = (*session)(nil)
	_ outbound.Owner = (*session)(nil)
)

// Slow implements [outbound.Owner].
func (se *session) Slow() { se.close(transport.CloseGoingAway, "what it is sent is not read") }

// Log implements [peer.Side].
func (se *session) Log() *zerolog.Logger { return &se.log }

// Ends implements [peer.Side].
func (se *session) Ends() (this, other string) { return "spoke " + se.spokeID, "hub " + se.hubID }

// Route implements [peer.Side]: a spoke forwards nothing.
func (se *session) Route(*peer.Incoming) bool { return false }

// MadeFor implements [peer.Side].
func (se *session) MadeFor(id string) (*peer.Incoming, bool) { return se.peer.MadeFor(id) }

// Event implements [peer.Side].
func (se *session) Event(topic string, payload []byte, err error) {
	se.spoke.events.received(topic, payload, err)
}

// Control implements [peer.Side].
func (se *session) Control(m *wire.Message) bool {
	if m.Type == wire.Drain {
		c := se.conn.Load()
		c.drains = true
		c.retryAfter = time.Duration(min(max(m.RetryAfter, 0), time.Hour.Milliseconds())) * time.Millisecond
		return true
	}
	return se.spoke.events.control(m)
}

// Serve implements [peer.Side].
func (se *session) Serve(_ context.Context, in *peer.Incoming) *call.Error {
	if se.spoke.State() == Draining && in.Request.ParentID == "" {
		return draining()
	}
	_, h, ok := se.spoke.offering.operations.Lookup(in.Request.Operation)
	if !ok {
		return &call.Error{Code: call.CodeOperationNotFound, Retryable: true,
			Message: fmt.Sprintf("operation %q not found: spoke %s does not serve it", in.Request.Operation, se.spokeID)}
	}
	return in.Handle(h)
}

// Streams implements [peer.Side].
func (se *session) Streams(operation string) bool {
	op, _, ok := se.spoke.offering.operations.Lookup(operation)
	return ok && op.Type == call.Subscription
}

package spoke

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/pubsub/wstarget"
	"github.com/alkdev/hubspoke/transport"
)

// link is one session with a hub, which so far ends with its connection.
type link struct {
	spoke      *Spoke
	conn       transport.Conn
	peer       *peer.Peer
	target     *wstarget.Target
	registered *peer.Registered
	wg         sync.WaitGroup
	retryAfter atomic.Int64 // ms that the hub asked for when it began to drain
}

// register registers on a fresh connection and makes its session.
func (s *Spoke) register(conn transport.Conn) (*link, error) {
	changed := s.operations.Changed()
	reg := s.registration()
	got, err := peer.Register(conn, reg)
	if err != nil {
		return nil, err
	}
	l := &link{spoke: s, conn: conn, registered: got}
	log := s.log.With().Str("hub", got.HubID).Str("spoke", got.SpokeID).Str("connection", got.ConnectionID).Logger()
	sess := session.New(session.Options{LimitBytes: s.opts.LogBytes, Log: log,
		OnSlow: func() { conn.Close(transport.CloseGoingAway, "what it is sent is not read") }})
	l.target = wstarget.New(l)
	l.peer = peer.New(context.Background(), peer.Config{
		Session: sess, Log: log, IDPrefix: s.instanceID[:8] + "-", Serve: l.serve, Streams: s.streams,
		Event: l.target.Event, Control: l.control, MaxInFlight: s.opts.MaxInFlight, Counters: &s.counters,
	})
	l.peer.SetRemote(got.MaxMessageBytes, 0)
	if err := sess.Attach(conn); err != nil {
		return nil, err
	}
	l.wg.Go(func() { l.keep(changed) })
	s.connects.Add(1)
	log.Info().Int64("generation", got.Generation).Msg("registered")
	return l, nil
}

func (s *Spoke) registration() *peer.Registration {
	return &peer.Registration{
		SpokeID: s.opts.ID, InstanceID: s.instanceID, Attempt: s.attempts.Load(), Name: s.opts.Name,
		Labels: s.opts.Labels, Version: s.opts.Version, Operations: s.operations.Operations(),
		MaxInFlight: s.opts.MaxInFlight, MaxMessageBytes: s.opts.MaxMessageBytes,
	}
}

// stay serves until the connection ends, and joins all that belongs to it but handlers.
func (s *Spoke) stay(ctx context.Context, l *link) end {
	start := time.Now()
	if !s.setLink(l) { // Shutdown came meanwhile
		l.conn.Close(transport.CloseNormal, "leaving")
	}
	s.events.attach(l)
	s.state.set(Registered)
	stop := context.AfterFunc(ctx, func() { l.conn.Close(transport.CloseNormal, "leaving") })
	err := l.peer.Run(l.conn)
	stop()
	s.setLink(nil)
	l.finish(err)
	return end{err: err, registered: time.Since(start),
		retryAfter: time.Duration(l.retryAfter.Load()) * time.Millisecond}
}

// finish ends the session. It does not wait for handlers: one that is slow to see
// that its context has ended must not keep the spoke from coming back. Run joins them.
func (l *link) finish(err error) {
	l.peer.End(err)
	l.target.Close(err)
	l.spoke.events.detach()
	l.conn.Abort()
	l.wg.Wait()
	l.spoke.handlers.Go(l.peer.Wait)
}

// Send implements [wstarget.Sender].
func (l *link) Send(ctx context.Context, typ string, payload []byte) error {
	b := session.NewBuffer()
	b.B = transport.AppendFrame(b.B, typ, payload)
	if strings.HasPrefix(typ, transport.PrefixControl) {
		return l.peer.Session().Post(b)
	}
	if limit := l.registered.MaxMessageBytes; limit > 0 && int64(len(b.B)) > limit {
		b.Free()
		return &call.Error{Code: call.CodeMessageTooLarge, Message: "the event is larger than the hub takes"}
	}
	_, err := l.peer.Session().Send(ctx, b, 0, nil)
	return err
}

// control takes a control frame, on the reader.
func (l *link) control(typ string, payload []byte) bool {
	switch typ {
	case peer.TypeDrain:
		var ms int64
		if err := jsonscan.Decode(payload, jsonscan.IntField("retryAfter", &ms)); err != nil {
			return false
		}
		l.retryAfter.Store(min(max(ms, 0), time.Hour.Milliseconds()))
		return true
	case wstarget.TypeDenied:
		l.spoke.log.Warn().RawJSON("denied", append([]byte(nil), payload...)).Msg("the hub refused")
	}
	return l.target.Control(typ, payload)
}

// serve answers a request, on a goroutine of its own.
func (l *link) serve(_ context.Context, in *peer.Inbound) *call.Error {
	if l.spoke.State() == Draining && in.Request.ParentID == "" {
		return &call.Error{Code: call.CodeUnavailable, Retryable: true, Message: "the spoke is leaving"}
	}
	_, h, ok := l.spoke.operations.Lookup(in.Request.Operation)
	if !ok {
		return &call.Error{Code: call.CodeOperationNotFound, Retryable: true,
			Message: "the spoke does not serve " + in.Request.Operation}
	}
	return in.Handle(h)
}

func (s *Spoke) streams(operation string) bool {
	op, _, ok := s.operations.Lookup(operation)
	return ok && op.Streams()
}

// keep tells the hub of changed operations and watches over the connection. It
// ends with the session.
func (l *link) keep(changed <-chan struct{}) {
	interval := time.Duration(l.registered.HeartbeatInterval) * time.Millisecond
	if interval <= 0 {
		interval = 25 * time.Second
	}
	timer := time.NewTimer(interval)
	defer timer.Stop()
	asked := false
	var again <-chan time.Time
	for {
		select {
		case <-l.peer.Done():
			return
		case <-changed:
			changed = l.spoke.operations.Changed()
			again = l.registerAgain()
			continue
		case <-again:
			again = l.registerAgain()
			continue
		case <-timer.C:
		}
		silent := time.Since(l.conn.LastReceived())
		switch {
		case silent < interval:
			asked = false
			timer.Reset(interval - silent)
		case asked && silent >= interval+l.spoke.opts.HeartbeatTimeout:
			l.spoke.log.Warn().Dur("silent", silent).Msg("heartbeat missed")
			l.conn.Abort()
			return
		default:
			if !asked {
				_ = l.peer.Post(peer.TypePing, nil) // fails only when the session has ended
			}
			asked = true
			timer.Reset(interval + l.spoke.opts.HeartbeatTimeout - silent)
		}
	}
}

// registerAgainAfter is when a hub that was too busy is told again.
const registerAgainAfter = time.Second

// registerAgain tells the hub what the spoke serves now. A hub that refuses
// keeps the old registration; that is logged. One that was too busy is to be told again when the channel gives.
func (l *link) registerAgain() <-chan time.Time {
	reg := l.spoke.registration()
	reg.SpokeID = l.registered.SpokeID
	req, err := peer.RegisterRequest(reg)
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), l.spoke.opts.HandshakeTimeout)
		defer cancel()
		_, err = l.peer.Call(ctx, req)
	}
	if err != nil && !errors.Is(err, call.CodeDisconnected) {
		l.spoke.log.Error().Err(err).Msg("the hub did not take the changed operations")
	}
	if e, ok := errors.AsType[*call.Error](err); ok && (e.Retryable || e.Code == call.CodeTimeout) {
		return time.After(registerAgainAfter)
	}
	return nil
}

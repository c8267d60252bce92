package spoke

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/callcore"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/wire"
)

var _ call.Caller = (*Spoke)(nil)

// Call makes a unary call; see [call.Caller]. While there is no connection it
// waits, within its time; a request that cannot have left goes out on the next connection.
func (s *Spoke) Call(ctx context.Context, req *call.Request) (call.Envelope, error) {
	if s.intercepted != nil && req != nil {
		copied := *req // or req would escape from calls without interceptors too
		return s.intercepted.Call(ctx, &copied)
	}
	return caller{s}.Call(ctx, req)
}

// Stream makes a call that answers many times; see [call.Caller].
func (s *Spoke) Stream(ctx context.Context, req *call.Request) iter.Seq2[call.Envelope, error] {
	if s.intercepted != nil {
		return s.intercepted.Stream(ctx, req)
	}
	return caller{s}.Stream(ctx, req)
}

// caller makes the calls of a spoke, inside the interceptors.
type caller struct{ spoke *Spoke }

func (r caller) Call(ctx context.Context, req *call.Request) (call.Envelope, error) {
	c := &peer.Caller{Ctx: ctx}
	err := peer.CopyRequest(ctx, &c.Req, req, false)
	if err == nil {
		err = r.spoke.call(&c.Req, c)
	}
	return c.Out, err
}

func (r caller) Stream(ctx context.Context, req *call.Request) iter.Seq2[call.Envelope, error] {
	return callcore.Stream(peer.ErrRangedOver, func(send func(call.Envelope) error) error {
		c := &peer.Caller{Ctx: ctx, Send: send}
		if err := peer.CopyRequest(ctx, &c.Req, req, true); err != nil {
			return err
		}
		return r.spoke.call(&c.Req, c)
	})
}

// call makes the call on the current connection, or on the next.
func (s *Spoke) call(req *call.Request, c *peer.Caller) error {
	err := s.callHub(req, c)
	if e, ok := errors.AsType[*call.Error](err); ok {
		peer.LogFailed(&s.log, req, e)
	}
	return err
}

func (s *Spoke) callHub(req *call.Request, c *peer.Caller) error {
	ctx := c.Ctx
	left := peer.Remaining(ctx, req)
	if left < 0 {
		return peer.ContextError(ctx, false)
	}
	if req.Identity != nil {
		return &call.Error{Code: call.CodeValidation,
			Message: req.Operation + ": call.As does not apply to a spoke, which calls as the identity that its hub has authenticated"}
	}
	if req.Operation == wire.OperationRegister {
		return &call.Error{Code: call.CodeValidation, Message: "the spoke registers by itself; change its Operations instead"}
	}
	if req.Stream && req.ParentID == "" {
		var stop func()
		ctx, stop = s.untilStreamsEnd(ctx)
		defer stop()
		c.Ctx = ctx
	}
	outgoing := *req
	until := time.Now().Add(left)
	for {
		se, err := s.awaitUntil(ctx, left, until)
		if err != nil {
			return err
		}
		if left > 0 {
			outgoing.Timeout = max(time.Until(until), time.Millisecond)
		}
		outgoing.ParentID = peer.IncomingFrom(ctx).IDAt(se.peer)
		e := se.peer.Do(c, &outgoing)
		switch {
		case e == nil:
			return c.Left
		case !e.Sent && e.Code == call.CodeDisconnected && !se.alive():
		case !e.Sent && req.WaitForSpoke && notFound(e) && pause(ctx, left, until):
		default:
			return e
		}
	}
}

// retryInterval is how often a call that waits for a spoke is repeated at the hub, which does not announce when one
// has registered.
const retryInterval = 250 * time.Millisecond

// notFound reports whether no spoke serves the call.
func notFound(e *call.Error) bool {
	return e.Code == call.CodeSpokeNotFound || e.Code == call.CodeOperationNotFound
}

// pause waits for the retryInterval. It returns false if the call has no time for that.
func pause(ctx context.Context, left time.Duration, until time.Time) bool {
	if left > 0 && time.Until(until) <= retryInterval {
		return false
	}
	return callcore.Pause(ctx, retryInterval)
}

// awaitUntil waits for a connection as long as the call has time.
func (s *Spoke) awaitUntil(ctx context.Context, left time.Duration, until time.Time) (*session, error) {
	if se := s.current(); se != nil {
		return se, nil
	}
	wait := ctx
	if left > 0 {
		var stop context.CancelFunc
		wait, stop = context.WithDeadline(ctx, until)
		defer stop()
	}
	se, err := s.await(wait)
	switch {
	case err == nil:
		return se, nil
	case errors.Is(err, ErrStopped):
		return nil, &call.Error{Code: call.CodeUnavailable, Message: err.Error(), Cause: err}
	default:
		e := peer.ContextError(wait, false)
		e.Message = "no connection to a hub in the call's time"
		if e.Code == call.CodeAborted {
			e.Message = "the caller's context was canceled while there was no connection to a hub"
		}
		if last := s.LastError(); last != nil {
			e.Message += ": " + last.Error()
		}
		e.Cause = err
		return nil, e
	}
}

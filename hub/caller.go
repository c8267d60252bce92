package hub

import (
	"context"
	"errors"
	"iter"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/callcore"
	"github.com/alkdev/hubspoke/internal/peer"
)

var _ call.Caller = (*Hub)(nil)

// Call makes a unary call for the embedding program; see [call.Caller]. Without
// [call.As] nobody's access is checked.
func (h *Hub) Call(ctx context.Context, req *call.Request) (call.Envelope, error) {
	if h.intercepted != nil && req != nil {
		copied := *req // or req would escape from calls without interceptors too
		return h.intercepted.Call(ctx, &copied)
	}
	return caller{h}.Call(ctx, req)
}

// Stream makes a call that answers many times; see [call.Caller].
func (h *Hub) Stream(ctx context.Context, req *call.Request) iter.Seq2[call.Envelope, error] {
	if h.intercepted != nil {
		return h.intercepted.Stream(ctx, req)
	}
	return caller{h}.Stream(ctx, req)
}

// caller makes the calls of the embedding program, inside the interceptors.
type caller struct{ hub *Hub }

func (r caller) Call(ctx context.Context, req *call.Request) (call.Envelope, error) {
	c := newOwnCall(ctx, nil)
	err := peer.CopyRequest(ctx, &c.Req, req, false)
	if err == nil {
		err = r.hub.answer(&c.Req, c)
	}
	return c.Out, err
}

func (r caller) Stream(ctx context.Context, req *call.Request) iter.Seq2[call.Envelope, error] {
	return callcore.Stream(peer.ErrRangedOver, func(send func(call.Envelope) error) error {
		c := newOwnCall(ctx, send)
		if err := peer.CopyRequest(ctx, &c.Req, req, true); err != nil {
			return err
		}
		return r.hub.answer(&c.Req, c)
	})
}

// answer answers a request of the embedding program with an operation of the
// hub's own, or routes it.
func (h *Hub) answer(req *call.Request, c *ownCall) error {
	err := h.answerFrom(req, c)
	if e, ok := errors.AsType[*call.Error](err); ok {
		peer.LogFailed(&h.log, req, e)
	}
	return err
}

func (h *Hub) answerFrom(req *call.Request, c *ownCall) error {
	if h.draining.Load() && req.ParentID == "" {
		return draining()
	}
	if left := peer.Remaining(c.Ctx, req); left < 0 {
		return peer.ContextError(c.Ctx, false)
	}
	if e := peer.CheckRequest(req, h.opts.MaxDepth); e != nil {
		return e
	}
	if req.To == "" {
		if op, handler, ok := h.operations.Lookup(req.Operation); ok {
			return h.answerOwn(c.Ctx, req, op, handler, c.Take)
		}
	}
	if req.Timeout > 0 {
		ctx, stop := context.WithTimeout(c.Ctx, req.Timeout)
		defer stop()
		c.Ctx = ctx
	}
	if req.Stream && req.ParentID == "" {
		ctx, stop := h.untilStreamsEnd(c.Ctx)
		defer stop()
		c.Ctx = ctx
	}
	if e := h.route(req, "", &c.attempts); e != nil {
		return e
	}
	return c.Left
}

// ownCall is a call of the embedding program, in one allocation.
type ownCall struct {
	peer.Caller
	attempts
}

func newOwnCall(ctx context.Context, send func(call.Envelope) error) *ownCall {
	c := &ownCall{Caller: peer.Caller{Ctx: ctx, Send: send}}
	c.sink = &c.Caller
	return c
}

func asError(err error) *call.Error {
	e, _ := errors.AsType[*call.Error](err) // peer gives nothing else
	return e
}

// answerOwn runs a handler of the hub.
func (h *Hub) answerOwn(ctx context.Context, req *call.Request, op call.Operation, handler call.Handler, send func(call.Envelope) error) error {
	if e := h.mayCall(req.Identity, op); e != nil {
		return e
	}
	return h.local.Call(ctx, req, handler, send)
}

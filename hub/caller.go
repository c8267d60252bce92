package hub

import (
	"context"
	"errors"
	"iter"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
)

var _ call.Caller = (*Hub)(nil)

// Call makes a unary call for the embedding program; see [call.Caller]. Without
// [call.As] nobody's access is checked.
func (h *Hub) Call(ctx context.Context, req *call.Request) (call.Envelope, error) {
	c := newOwnCall(ctx, nil)
	if len(h.opts.Interceptors) > 0 || req != nil && req.Attempts > 1 {
		err := h.invoke(ctx, req, false, c.Take)
		return c.Out, err
	}
	err := c.Req.Copy(ctx, req, false)
	if err == nil {
		err = h.answer(&c.Req, c)
	}
	return c.Out, err
}

// Stream makes a call that answers many times; see [call.Caller].
func (h *Hub) Stream(ctx context.Context, req *call.Request) iter.Seq2[call.Envelope, error] {
	return func(yield func(call.Envelope, error) bool) {
		err := h.invoke(ctx, req, true, func(e call.Envelope) error {
			if !yield(e, nil) {
				return errReaderLeft
			}
			return nil
		})
		if err != nil && !errors.Is(err, errReaderLeft) {
			yield(call.Envelope{}, err)
		}
	}
}

// invoke makes a call with the interceptors around it.
func (h *Hub) invoke(ctx context.Context, req *call.Request, stream bool, send func(call.Envelope) error) error {
	var r call.Request
	if err := r.Copy(ctx, req, stream); err != nil {
		return err
	}
	return call.Repeat(ctx, &r, send, h.once)
}

// once makes one attempt of a call, with the interceptors around it.
func (h *Hub) once(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
	return call.Chain(func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
		if len(h.opts.Interceptors) > 0 { // which may have changed it
			var r call.Request
			if err := r.Copy(ctx, req, req.Stream); err != nil {
				return err
			}
			req = &r
		}
		return h.answer(req, newOwnCall(ctx, send))
	}, h.opts.Interceptors...)(ctx, req, send)
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
		return call.ContextError(c.Ctx, false)
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

package hub

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
)

var _ call.Caller = (*Hub)(nil)

// Call makes a unary call for the embedding program; see [call.Caller]. Without
// [call.As] nobody's access is checked.
func (h *Hub) Call(ctx context.Context, req *call.Request) (call.Envelope, error) {
	var out call.Envelope
	err := h.invoke(ctx, req, false, func(e call.Envelope) error { out = e; return nil })
	return out, err
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
	r, err := call.Outgoing(ctx, req, stream)
	if err != nil {
		return err
	}
	return call.Repeat(ctx, r, send, h.once)
}

// once makes one attempt of a call, with the interceptors around it.
func (h *Hub) once(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
	if len(h.opts.Interceptors) == 0 {
		return h.answer(ctx, req, send)
	}
	return call.Chain(h.answer, h.opts.Interceptors...)(ctx, req, send)
}

// answer has the shape of a [call.Handler]: it answers a request of the embedding
// program with an operation of the hub's own, or routes it.
func (h *Hub) answer(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
	if h.draining.Load() && req.ParentID == "" {
		return &call.Error{Code: call.CodeUnavailable, Retryable: true, Message: "the hub is draining"}
	}
	if left := peer.Remaining(ctx, req); left < 0 {
		return call.ContextError(ctx, false)
	}
	if req.To == "" {
		if op, handler, ok := h.operations.Lookup(req.Operation); ok {
			return h.answerOwn(ctx, req, op, handler, send)
		}
	}
	if req.Timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, req.Timeout)
		defer stop()
	}
	left := false
	e := h.route(ctx, req, "", func(p *peer.Peer, leg *call.Request) *call.Error {
		e, readerLeft := read(ctx, p, leg, send)
		left = readerLeft
		return e
	})
	switch {
	case e != nil:
		return e
	case left:
		return errReaderLeft
	}
	return nil
}

// read makes the call at p and hands its answers to send.
func read(ctx context.Context, p *peer.Peer, leg *call.Request, send func(call.Envelope) error) (e *call.Error, left bool) {
	var flow peer.Flow
	if leg.Stream {
		flow = peer.Reader(leg.Credit)
	}
	o, err := p.Open(ctx, leg, flow)
	if err != nil {
		return asError(err), false
	}
	for begun := false; ; begun = true {
		output, err := o.Next(ctx)
		if err == io.EOF { //nolint:errorlint // a lost connection may have io.EOF in its chain, and is no end
			return nil, false
		}
		if err != nil {
			return peer.Begun(asError(err), begun), false
		}
		if err := send(call.ParseEnvelope(output)); err != nil {
			o.Abort(err.Error())
			return nil, true
		}
		if !leg.Stream {
			return nil, false
		}
	}
}

func asError(err error) *call.Error {
	e, _ := errors.AsType[*call.Error](err) // peer gives nothing else
	return e
}

// answerOwn runs a handler of the hub in the caller's goroutine.
func (h *Hub) answerOwn(ctx context.Context, req *call.Request, op call.Operation, handler call.Handler, send func(call.Envelope) error) error {
	if e := h.mayCall(req.Identity, op); e != nil {
		return e
	}
	if left := peer.Remaining(ctx, req); left > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, left)
		defer stop()
	}
	return peer.RunLocal(ctx, h.log, &h.counters, req, handler, send)
}

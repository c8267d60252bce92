package call

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
)

// Handler answers requests. It calls send once for a unary request and once for
// each response of a stream, and returns when it is done; what it returns ends
// the call. Send blocks while the reader of a stream has given no credit, and
// fails when the call is over; it is for one goroutine at a time. The values
// belong to the framework once sent; an Envelope without Meta gets one of source
// "local". A value that is not JSON in UTF-8 ends the call with EXECUTION_ERROR, whatever the
// handler returns; so does one that is nested deeper than the other side accepts (256 levels by
// default), except that the handler of a stream decides what to do if send returns an error.
//
// The context ends when the caller goes away or cancels, when its time is up, or when
// the connection's session ends. A panic answers EXECUTION_ERROR, with the stack in the log only.
type Handler func(ctx context.Context, req *Request, send func(Envelope) error) error

// Handle registers a unary operation with a typed handler, inside the interceptors, the first outermost. The Type of op is
// [Query], also if it is empty, or [Mutation].
//
// The input is unmarshaled into In and the result is marshaled once. An In or Out of [json.RawMessage] passes
// through, and an Out of [Envelope] is sent as it is. An input that does not fit In is answered with VALIDATION_ERROR.
//
// The errors are those of [Registry.Register]; a [Subscription] is invalid.
func Handle[In, Out any](r *Registry, op Operation, fn func(ctx context.Context, in In) (Out, error), interceptors ...Interceptor) error {
	switch {
	case fn == nil:
		return invalid(op.Name, "no handler")
	case op.Type == Subscription:
		return invalid(op.Name, "Handle registers no subscription: use HandleStream")
	}
	h := func(ctx context.Context, req *Request, send func(Envelope) error) error {
		in, err := decodeInput[In](req)
		if err != nil {
			return err
		}
		out, err := fn(ctx, in)
		if err != nil {
			return err
		}
		return sendValue(req, out, send)
	}
	if raw, ok := any(fn).(func(context.Context, json.RawMessage) (json.RawMessage, error)); ok {
		h = handleRaw(raw)
	}
	return r.Register(op, h, interceptors...)
}

// handleRaw is what Handle does for values that pass through, without the allocations of the general way.
func handleRaw(fn func(context.Context, json.RawMessage) (json.RawMessage, error)) Handler {
	return func(ctx context.Context, req *Request, send func(Envelope) error) error {
		out, err := fn(ctx, req.Input)
		if err != nil {
			return err
		}
		return send(Envelope{Data: out})
	}
}

// HandleStream registers an operation that answers many times: fn calls send for
// each value. Send blocks while the reader has given no credit and fails when
// the call has ended; fn should then return. The Type of op is [Subscription], also if it is empty; [Query] and [Mutation]
// are invalid. See [Handle] for the rest.
func HandleStream[In, Out any](r *Registry, op Operation, fn func(ctx context.Context, in In, send func(Out) error) error, interceptors ...Interceptor) error {
	switch {
	case fn == nil:
		return invalid(op.Name, "no handler")
	case op.Type == Query || op.Type == Mutation:
		return invalid(op.Name, "HandleStream registers a subscription, not a %s: leave Type empty", op.Type)
	}
	h := func(ctx context.Context, req *Request, send func(Envelope) error) error {
		in, err := decodeInput[In](req)
		if err != nil {
			return err
		}
		return fn(ctx, in, func(out Out) error { return sendValue(req, out, send) })
	}
	op.Type = cmp.Or(op.Type, Subscription)
	return r.Register(op, h, interceptors...)
}

func decodeInput[In any](req *Request) (In, error) {
	var in In
	if raw, ok := any(&in).(*json.RawMessage); ok {
		*raw = req.Input
		return in, nil
	}
	if len(req.Input) == 0 {
		return in, nil
	}
	if err := json.Unmarshal(req.Input, &in); err != nil {
		return in, Refuse(&Error{Code: CodeValidation,
			Message: fmt.Sprintf("the input of %s does not fit: %v", req.Operation, err), Cause: err})
	}
	return in, nil
}

func sendValue[Out any](req *Request, out Out, send func(Envelope) error) error {
	switch v := any(out).(type) {
	case Envelope:
		return send(v)
	case json.RawMessage:
		return send(Envelope{Data: v})
	}
	raw, err := json.Marshal(out)
	if err != nil {
		return Errorf(CodeExecution, "the output of %s cannot be marshalled: %w", req.Operation, err)
	}
	return send(Envelope{Data: raw})
}

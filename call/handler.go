package call

import (
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

// HandleOption changes what [Handle] and [HandleStream] register.
type HandleOption func(*handling)

type handling struct {
	op           Operation
	interceptors []Interceptor
}

// Describe sets the operation's description.
func Describe(text string) HandleOption { return func(h *handling) { h.op.Description = text } }

// OfType sets the operation's type; Handle registers a Query and HandleStream a Subscription.
func OfType(t Type) HandleOption { return func(h *handling) { h.op.Type = t } }

// Access sets who may call the operation.
func Access(a AccessControl) HandleOption { return func(h *handling) { h.op.Access = a } }

// ErrorCodes declares the handler's own codes.
func ErrorCodes(codes ...string) HandleOption { return func(h *handling) { h.op.ErrorCodes = codes } }

// Schemas sets the JSON Schemas of input and output. They are told to callers;
// package call/schema also validates with them.
func Schemas(input, output json.RawMessage) HandleOption {
	return func(h *handling) { h.op.InputSchema, h.op.OutputSchema = input, output }
}

// With puts interceptors around this handler only, the first outermost.
func With(interceptors ...Interceptor) HandleOption {
	return func(h *handling) { h.interceptors = append(h.interceptors, interceptors...) }
}

// Handle registers a unary operation. The input is unmarshalled into In and the
// result marshalled once; an In or Out of [json.RawMessage] passes through, and an Out of
// [Envelope] is sent as it is. An input that does not fit In answers VALIDATION_ERROR.
//
// It fails with what [Registry.Register] fails with.
func Handle[In, Out any](r *Registry, name string, fn func(ctx context.Context, in In) (Out, error), opts ...HandleOption) error {
	if fn == nil {
		return noHandler(name)
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
	return register(r, Operation{Name: name, Type: Query}, h, opts)
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
// the call is over; fn should then return. See [Handle] for the rest.
func HandleStream[In, Out any](r *Registry, name string, fn func(ctx context.Context, in In, send func(Out) error) error, opts ...HandleOption) error {
	if fn == nil {
		return noHandler(name)
	}
	h := func(ctx context.Context, req *Request, send func(Envelope) error) error {
		in, err := decodeInput[In](req)
		if err != nil {
			return err
		}
		return fn(ctx, in, func(out Out) error { return sendValue(req, out, send) })
	}
	return register(r, Operation{Name: name, Type: Subscription}, h, opts)
}

func noHandler(name string) error { return fmt.Errorf("%w %q: no handler", ErrInvalidOperation, name) }

func register(r *Registry, op Operation, h Handler, opts []HandleOption) error {
	hg := handling{op: op}
	for _, o := range opts {
		if o != nil {
			o(&hg)
		}
	}
	return r.Register(hg.op, chain(h, hg.interceptors))
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

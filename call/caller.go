package call

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
)

// Caller makes calls. A hub and a spoke are Callers. Both methods may be called
// concurrently; the request is not changed and not kept after the call is over.
type Caller interface {
	// Call makes a unary call and waits for its one answer. It fails with an
	// [*Error]. When ctx ends it returns immediately and the handler is canceled.
	Call(ctx context.Context, req *Request) (Envelope, error)
	// Stream makes a call that answers many times. Nothing is sent before the sequence is ranged over, and it can be
	// ranged over once: a second range makes no call and yields VALIDATION_ERROR. A failure is the last element, with an
	// [*Error]. Leaving the loop, or the end of ctx, cancels the handler.
	Stream(ctx context.Context, req *Request) iter.Seq2[Envelope, error]
}

// Invoke makes a unary call with a Go value and unmarshals the answer into Out.
// An in of [json.RawMessage] passes through, as does an Out of [json.RawMessage]; an Out of
// [Envelope] keeps the envelope. It fails with an [*Error], which is DECODE_ERROR with Sent true if the
// handler answered and the answer cannot be unmarshaled into Out. An operation that streams answers its first value, null if it
// has none, and is then ended.
func Invoke[Out any](ctx context.Context, c Caller, operation string, in any, opts ...Option) (Out, error) {
	var out Out
	raw, err := encodeInput(operation, in)
	if err != nil {
		return out, err
	}
	env, err := c.Call(ctx, NewRequest(operation, raw, opts...))
	if err != nil {
		return out, withoutRefusal(err)
	}
	return decodeOutput[Out](operation, env)
}

// Stream makes a call that answers many times and unmarshals each answer into Out. It marshals in immediately. An answer that does
// not fit is a last element with DECODE_ERROR, and cancels the handler.
// See [Caller] for when it is sent and how it ends.
func Stream[Out any](ctx context.Context, c Caller, operation string, in any, opts ...Option) iter.Seq2[Out, error] {
	raw, err := encodeInput(operation, in)
	if err != nil {
		return failed[Out](err)
	}
	all := c.Stream(ctx, NewRequest(operation, raw, opts...))
	return func(yield func(Out, error) bool) {
		for env, err := range all {
			var out Out
			if err != nil {
				yield(out, withoutRefusal(err))
				return
			}
			out, err = decodeOutput[Out](operation, env)
			if !yield(out, err) || err != nil {
				return
			}
		}
	}
}

// failed returns the sequence of a call that fails before it is made.
func failed[Out any](err error) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		var zero Out
		yield(zero, err)
	}
}

func encodeInput(operation string, in any) (json.RawMessage, error) {
	switch v := in.(type) {
	case nil:
		return nil, nil
	case json.RawMessage: // the Caller checks it
		return v, nil
	}
	raw, err := json.Marshal(in)
	if err != nil {
		return nil, &Error{Code: CodeValidation, Cause: err,
			Message: fmt.Sprintf("the input of %s cannot be marshalled: %v", operation, err)}
	}
	return raw, nil
}

func decodeOutput[Out any](operation string, env Envelope) (Out, error) {
	var out Out
	switch p := any(&out).(type) {
	case *Envelope:
		*p = env
		return out, nil
	case *json.RawMessage:
		*p = env.Data
		return out, nil
	}
	if len(env.Data) == 0 {
		return out, nil
	}
	if err := json.Unmarshal(env.Data, &out); err != nil {
		return out, &Error{Code: CodeDecode, Sent: true, Cause: err,
			Message: fmt.Sprintf("the output of %s does not fit %T: %v", operation, out, err)}
	}
	return out, nil
}

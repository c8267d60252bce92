package call

import (
	"context"
	"iter"

	"github.com/alkdev/hubspoke/internal/callcore"
)

// Interceptor returns a [Handler] that does something around next. One shape serves both sides: around the handlers of a
// [Registry] ([Registry.Use], [Handle]), and around the making of calls ([Intercept], the Options of a hub and a spoke), where
// next makes the call and send takes its answers; [Request.Outgoing] reports which of the two it is. An interceptor may change
// what passes: a copy of the request, the answers, the error.
// The Handler must not be nil, and must be safe for concurrent use. Nil interceptors are ignored.
//
// An Interceptor is called once for each handler and each [Intercept], not for each call: variables that it declares before it
// returns are shared by the calls of one operation, or of one Caller. What all operations share, such as a limit for the
// whole program, belongs outside it. [Registry.Use] calls the interceptors of earlier Uses again for the operations that are registered
// already, so use interceptors with state before the program serves calls.
type Interceptor func(next Handler) Handler

// Intercept returns a [Caller] that makes its calls through c, with the interceptors around each call. The first is
// the outermost. An error of an interceptor reaches the caller unchanged, but for the mark of [Refuse].
func Intercept(c Caller, interceptors ...Interceptor) Caller {
	if len(interceptors) == 0 {
		return c
	}
	return &intercepted{c, callcore.Chain(through(c), interceptors)}
}

type intercepted struct {
	Caller
	call Handler
}

func (i *intercepted) Call(ctx context.Context, req *Request) (Envelope, error) {
	if req == nil {
		return i.Caller.Call(ctx, nil) // which refuses it
	}
	r := *req
	r.Stream, r.Outgoing = false, true
	var out Envelope
	err := i.call(ctx, &r, func(e Envelope) error {
		out = e
		return nil
	})
	if err != nil {
		return Envelope{}, withoutRefusal(err)
	}
	return out, nil
}

func (i *intercepted) Stream(ctx context.Context, req *Request) iter.Seq2[Envelope, error] {
	if req == nil {
		return i.Caller.Stream(ctx, nil)
	}
	return callcore.Stream(errRangedOver, func(send func(Envelope) error) error {
		r := *req
		r.Stream, r.Outgoing = true, true
		return withoutRefusal(i.call(ctx, &r, send))
	})
}

var errRangedOver = &Error{Code: CodeValidation, Message: callcore.RangedOver}

// through is the innermost handler: it makes the call.
func through(c Caller) Handler {
	return func(ctx context.Context, req *Request, send func(Envelope) error) error {
		if !req.Stream {
			e, err := c.Call(ctx, req)
			if err != nil {
				return err
			}
			return send(e)
		}
		for e, err := range c.Stream(ctx, req) {
			if err == nil {
				err = send(e)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

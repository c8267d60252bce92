package peer

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/call"
)

// RunLocal runs a handler of this program for a caller of this program, as if a
// connection were between them: a panic is EXECUTION_ERROR, the errors are those that a remote
// caller would see, a unary call takes the first answer.
func RunLocal(ctx context.Context, log zerolog.Logger, counters *Counters, req *call.Request, h call.Handler, send func(call.Envelope) error) (err error) {
	r := *req
	r.ID = uuid.NewString()
	ctx = call.NewContext(ctx, &r)
	answered := false
	var refused error // by the reader, who is told nothing of it
	defer func() {
		if p := recover(); p != nil {
			counters.Panics.Add(1)
			log.Error().Str("operation", req.Operation).Str("panic", fmt.Sprint(p)).
				Bytes("stack", debug.Stack()).Msg("handler panicked")
			if err = refused; refused == nil && (!answered || req.Stream) {
				err = &call.Error{Code: call.CodeExecution, Sent: true, Message: "the handler panicked"}
			}
		}
	}()
	counters.Served.Add(1)
	herr := h(ctx, &r, func(e call.Envelope) error {
		if answered && !req.Stream || refused != nil {
			return errOver
		}
		answered = true
		if e.Meta == nil {
			e = call.Local(req.Operation, e.Data, time.Now())
		}
		refused = send(e)
		return refused
	})
	switch {
	case refused != nil:
		return refused
	case answered && !req.Stream, herr == nil && req.Stream:
		return nil
	case herr == nil:
		return send(call.Local(req.Operation, nil, time.Now()))
	}
	return call.HandlerError(ctx, herr)
}

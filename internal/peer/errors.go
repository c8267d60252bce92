package peer

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/callcore"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/transport"
)

// errOver is the error of a handler that continues after its call has ended.
var errOver = errors.New("the call is over")

// endedError is what waiting requests get when the session ends.
type endedError struct{ cause error }

func (e endedError) Error() string { return e.cause.Error() }
func (e endedError) Unwrap() error { return e.cause }

// HandlerError returns the error that the caller of a handler receives for the one that the handler returned: Sent
// is true unless it is a refusal, the end of its context is ABORTED or TIMEOUT, and an error without
// a code, or with one that is not upper snake case, is EXECUTION_ERROR. Nil is nil.
func HandlerError(ctx context.Context, err error) *call.Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*call.Error](err); ok {
		if e == nil {
			return nil // a typed nil: the handler means success
		}
		out := *e
		out.Sent = !callcore.Refuses(err, e)
		if !wire.ValidCode(string(out.Code)) {
			out.Code = call.CodeExecution
		}
		switch err.(type) { //nolint:errorlint // whether something is wrapped around it
		case *call.Error, callcore.Refusal:
		default:
			out.Message = call.Errorf(e.Code, "%w", err).Message // without the code that the wrapper's text has
		}
		return &out
	}
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return ContextError(ctx, true)
	}
	return &call.Error{Code: call.CodeExecution, Message: err.Error(), Sent: true, Cause: err}
}

// ContextError returns the error of a call whose context has ended: TIMEOUT if a deadline
// passed, else ABORTED, or the context's cause if that is a *call.Error.
func ContextError(ctx context.Context, sent bool) *call.Error {
	cause := context.Cause(ctx)
	if e, ok := errors.AsType[*call.Error](cause); ok {
		out := *e
		out.Sent = sent
		return &out
	}
	if ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) { // nil: its timer has not fired yet
		return &call.Error{Code: call.CodeTimeout, Message: "the context's deadline passed", Sent: sent,
			Cause: context.DeadlineExceeded}
	}
	msg := "the caller's context was canceled"
	if cause != nil && !errors.Is(cause, context.Canceled) {
		msg += ": " + cause.Error()
	}
	return &call.Error{Code: call.CodeAborted, Message: msg, Sent: sent, Cause: context.Canceled}
}

// ErrRangedOver is the error of a second range over a stream.
var ErrRangedOver = &call.Error{Code: call.CodeValidation, Message: callcore.RangedOver}

// Full returns the error of a request that is over the limit of the other side.
func (p *Peer) Full() *call.Error {
	_, other := p.side.Ends()
	return &call.Error{Code: call.CodeOverloaded, Retryable: true, Message: fmt.Sprintf("%s has too many calls in flight: limit %d (%s)",
		other, p.Limit(), LimitOptions)}
}

// LimitOptions set how many requests a spoke is sent.
const LimitOptions = "the smaller of spoke.Options.MaxInFlight and hub.Options.MaxSpokeInFlight"

// overloaded is the message for a request over the limit of this side.
func (p *Peer) overloaded() string {
	this, _ := p.side.Ends()
	msg := fmt.Sprintf("%s has too many calls in flight: limit %d", this, p.cfg.MaxInFlight)
	if p.cfg.Limit != "" {
		msg += " (" + p.cfg.Limit + ")"
	}
	return msg
}

func (p *Peer) notSent(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, session.ErrNoRoom):
		return &call.Error{Code: call.CodeTimeout, Message: p.from("accepted no request within the call's timeout"), Cause: context.DeadlineExceeded}
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return ContextError(ctx, false)
	default:
		return p.disconnected(err, false)
	}
}

func (p *Peer) disconnected(cause error, sent bool) *call.Error {
	this, other := p.side.Ends()
	msg := "the connection between " + this + " and " + other + " was lost"
	if !errors.Is(cause, transport.ErrLost) { // which has addresses in it that a far caller must not see
		msg += ": " + cause.Error()
	}
	return &call.Error{Code: call.CodeDisconnected, Sent: sent, Retryable: true, Cause: cause, Message: msg}
}

// from makes a message about what the other side did, or did not do, to this side.
func (p *Peer) from(what string) string {
	this, other := p.side.Ends()
	return this + ": " + other + " " + what
}

// asError returns the error of a call whose session with this peer failed with err.
func (p *Peer) asError(err error) *call.Error {
	if e, ok := errors.AsType[*call.Error](err); ok {
		return e
	}
	if errors.Is(err, context.Canceled) { // the end of this program's context; the others' come as *call.Error
		return &call.Error{Code: call.CodeAborted, Message: err.Error(), Sent: true, Cause: err}
	}
	return p.disconnected(err, true)
}

// unusable ends a request whose answer cannot be used.
type unusable struct {
	what  string // the frame
	sent  bool
	cause error
}

func (u *unusable) Error() string { return "cannot be used: " + u.what + ": " + u.cause.Error() }

// of is the error for the caller of the operation.
func (u *unusable) of(operation string) *call.Error {
	return &call.Error{Code: call.CodeExecution, Sent: u.sent, Cause: u.cause, Message: "the answer of " + operation + " " + u.Error()}
}

// tooLarge is the error of a frame that is larger than the other side accepts.
func (p *Peer) tooLarge(size int, limit int64) *call.Error {
	_, other := p.side.Ends()
	return &call.Error{Code: call.CodeMessageTooLarge,
		Message: fmt.Sprintf("the message has %d bytes; %s accepts %d (maxMessageBytes)", size, other, limit)}
}

var timeoutError = &call.Error{Code: call.CodeTimeout, Message: "the call's time was up", Sent: true,
	Cause: context.DeadlineExceeded}

// ErrDraining is why a stream ends that a side which drains does not wait for any longer.
var ErrDraining = errors.New("draining")

// reasonDraining is the reason of call.aborted for the same (protocol section 7).
const reasonDraining = "draining"

// Draining is the error of what a side refuses or ends because it drains; who names the side.
func Draining(who string) *call.Error {
	return &call.Error{Code: call.CodeUnavailable, Retryable: true, Message: who + " is draining", Cause: ErrDraining}
}

// abortReason returns the reason that is sent to the other side for a call that ended with e.
func abortReason(e *call.Error) string {
	if errors.Is(e, ErrDraining) {
		return reasonDraining
	}
	return e.Message
}

// errLeft answers a request whose caller has left.
var errLeft = Error(&wire.Left)

// LogFailed writes how a call ended, at level debug: at its caller, at each hub on its way, and where its handler ran.
func LogFailed(log *zerolog.Logger, req *call.Request, e *call.Error) {
	ev := log.Debug()
	if ev == nil {
		return
	}
	if req.To != "" {
		ev.Str("to", req.To)
	}
	if req.Identity != nil {
		ev.Str("caller", req.Identity.ID)
	}
	ev.Str("operation", req.Operation).Str("request", req.OriginID).Str("code", string(e.Code)).
		Bool("sent", e.Sent).Str("error", e.Message).Msg("call failed")
}

// panicked counts and logs a handler that ended with a panic, whose value is p, or with a Goexit. It returns the error
// of its call.
func panicked(log *zerolog.Logger, c *Counters, req *call.Request, p any) *call.Error {
	c.Panics.Add(1)
	log.Error().Str("operation", req.Operation).Str("request", req.OriginID).
		Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Msg("handler panicked")
	return &call.Error{Code: call.CodeExecution, Sent: true, Message: "the handler panicked"}
}

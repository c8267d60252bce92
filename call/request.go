package call

import (
	"context"
	"encoding/json"
	"time"

	"github.com/alkdev/hubspoke/internal/callcore"
)

// Request is one call, as its caller makes it and as its handler sees it. Its
// parts are not changed once it has been handed over.
type Request struct {
	// Operation is the name of what is called.
	Operation string
	// Input is JSON; nil means null. A handler owns it.
	Input json.RawMessage
	// Stream asks for many responses. Call and Stream set it.
	Stream bool
	// To names the one spoke that must answer; empty lets the hub choose.
	To string
	// Selector has labels that the spoke must have.
	Selector map[string]string
	// Timeout is the time for the whole call: 0 is 30 s for a unary call and
	// no limit for a stream; negative is no limit. The context's deadline holds as well.
	Timeout time.Duration
	// IdleTimeout is the time between two responses of a stream; 0 is no limit.
	IdleTimeout time.Duration
	// Credit is how many responses of a stream may be on their way to its reader;
	// 0 is the default of 32.
	Credit int
	// Metadata is a JSON object that travels unchanged, or nil.
	Metadata json.RawMessage
	// WaitForSpoke lets a call that no connected spoke can answer wait, within its time, for one that can.
	WaitForSpoke bool
	// FailFast makes a call fail with UNAVAILABLE, instead of waiting, where the only spokes that could
	// answer it are detached (their connections were lost).
	FailFast bool
	// Idempotent declares that the call may be made again although its handler can have run; see [Retry].
	Idempotent bool
	// Identity is who calls. A handler sees what the hub vouches for, nil where
	// the server that embeds the hub calls for itself. A caller sets it with [As]; the handler of a spoke that passes its
	// request on clears it.
	Identity *Identity

	// Outgoing reports the side of an [Interceptor]: it is true around the making of a call ([Intercept], the Options of
	// a hub and a spoke), false around a handler and in it. The framework sets it and ignores what a caller sets.
	Outgoing bool
	// ID names the request on its connection. It is empty until it is sent.
	ID string
	// OriginID is the id that the first caller gave it; logs name it.
	OriginID string
	// ParentID, in a handler, is the ID of this program's request that the call is a part of, if that request is
	// still in flight; else it is empty. The framework sets it from the context and ignores what a caller sets.
	ParentID string
}

// DefaultTimeout is the time that a unary call has if no other is set: 30 s.
const DefaultTimeout = callcore.DefaultTimeout

// DefaultCredit is how many responses of a stream may be on their way.
const DefaultCredit = 32

// Option changes a request before it is made.
type Option func(*Request)

// To sends the call to the spoke with this id.
func To(spokeID string) Option { return func(r *Request) { r.To = spokeID } }

// Select sends the call to a spoke that has all these labels.
func Select(labels map[string]string) Option { return func(r *Request) { r.Selector = labels } }

// Timeout limits the whole call; 0 is the default (30 s for a unary call, none
// for a stream), negative is no limit.
func Timeout(d time.Duration) Option { return func(r *Request) { r.Timeout = d } }

// IdleTimeout limits the time between two responses of a stream. It fails a unary call with VALIDATION_ERROR.
func IdleTimeout(d time.Duration) Option { return func(r *Request) { r.IdleTimeout = d } }

// Credit sets how many responses of a stream may be on their way; 0 is 32. It fails a unary call with VALIDATION_ERROR.
func Credit(n int) Option { return func(r *Request) { r.Credit = n } }

// Metadata sends a JSON object along, unchanged, for the handler to read; `traceparent` belongs here.
// Metadata that is not a JSON object in UTF-8, or is nested deeper than the receiver accepts, makes the
// call fail with VALIDATION_ERROR. White space before the object is dropped.
func Metadata(object json.RawMessage) Option { return func(r *Request) { r.Metadata = object } }

// WaitForSpoke lets the call wait, within its time, until a spoke that can answer is there.
func WaitForSpoke() Option { return func(r *Request) { r.WaitForSpoke = true } }

// FailFast makes the call fail with UNAVAILABLE where the only spokes that could answer it are detached: their
// connections were lost and they have not reconnected. Without it the call waits for them within its timeout. It
// takes precedence over [WaitForSpoke]. It applies when the hub chooses the spoke: losing the spoke's connection
// while the call is in flight does not end the call.
func FailFast() Option { return func(r *Request) { r.FailFast = true } }

// Idempotent declares that the call may be made again although its handler can have run; see [Retry].
func Idempotent() Option { return func(r *Request) { r.Idempotent = true } }

// As makes the call for this identity. Only the program that embeds a hub can
// use it; a hub ignores what a spoke sends about itself.
func As(id *Identity) Option { return func(r *Request) { r.Identity = id } }

// NewRequest makes the request for a raw input. A nil input is null.
func NewRequest(operation string, input json.RawMessage, opts ...Option) *Request {
	r := &Request{Operation: operation, Input: input}
	for _, o := range opts {
		if o != nil {
			o(r)
		}
	}
	return r
}

// NewContext returns a context that carries the request that a handler works on. The framework does this for each handler; a
// test of a handler that uses [FromContext] or [IdentityFrom] does it itself.
func NewContext(ctx context.Context, req *Request) context.Context {
	return context.WithValue(ctx, callcore.RequestKey{}, req)
}

// FromContext returns the request that the handler with this context works on, or
// nil outside a handler. It must not be changed.
func FromContext(ctx context.Context) *Request {
	r, _ := ctx.Value(callcore.RequestKey{}).(*Request)
	return r
}

// IdentityFrom returns the identity of the caller of the handler with this
// context; nil outside a handler and if the program that embeds the hub called.
func IdentityFrom(ctx context.Context) *Identity {
	if r := FromContext(ctx); r != nil {
		return r.Identity
	}
	return nil
}

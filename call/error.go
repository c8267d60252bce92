package call

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/alkdev/hubspoke/internal/callcore"
	"github.com/alkdev/hubspoke/internal/wire"
)

// Error is how a call fails. It matches its [Code] with errors.Is, and is found
// with errors.AsType[*call.Error].
//
// A handler returns one to choose the code that its caller sees; any other error
// that a handler returns becomes EXECUTION_ERROR with that error's text.
type Error struct {
	// Code names what happened. One that is not upper snake case is sent as EXECUTION_ERROR.
	Code Code
	// Message is for people. It travels to the caller.
	Message string
	// Sent reports whether the handler's own code can have run. A handler need not
	// set it: what it returns has run.
	Sent bool
	// Retryable reports that a repeat may help. When Sent is true only the caller
	// knows whether the operation may be repeated.
	Retryable bool
	// Details is a JSON object with further information from the handler, or nil. The member `sent`,
	// which the protocol adds, is not part of it. Details that are not JSON in UTF-8, or nested deeper
	// than the caller accepts, make the call fail with EXECUTION_ERROR, whose message names them and the
	// original error.
	Details json.RawMessage
	// Cause is what led to it on this side of the connection; it does not travel.
	Cause error
}

// Error returns the code and the message.
func (e *Error) Error() string {
	switch {
	case e == nil:
		return "no error"
	case e.Message == "" && e.Cause == nil:
		return string(e.Code)
	case e.Message == "":
		return string(e.Code) + ": " + messageOf(e.Cause, e.Code)
	default:
		return string(e.Code) + ": " + e.Message
	}
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error {
	if e == nil { // a nil *Error in an error, which a handler may return for success
		return nil
	}
	return e.Cause
}

// Is reports whether target is the error's [Code]. TIMEOUT also matches [context.DeadlineExceeded], and ABORTED
// [context.Canceled], whichever side found that the time was up or that the caller had left.
func (e *Error) Is(target error) bool {
	switch {
	case e == nil:
		return false
	case target == context.DeadlineExceeded:
		return e.Code == CodeTimeout
	case target == context.Canceled:
		return e.Code == CodeAborted
	}
	c, ok := target.(Code)
	return ok && c == e.Code
}

// MarshalJSON returns the error as it is on the wire, without a requestId: `code`, `message`, `retryable`, and
// `details` with `sent`. Details that are not a JSON object are left out.
func (e *Error) MarshalJSON() ([]byte, error) {
	f := wire.Failure{Code: string(e.Code), Message: e.Message, Retryable: e.Retryable, Sent: e.Sent, Details: e.Details}
	return append(wire.AppendFailureMembers([]byte{'{'}, &f), '}'), nil
}

// UnmarshalJSON reads what MarshalJSON writes, also the body of an HTTP gateway's error. Other members are ignored. What
// is absent or has the wrong JSON type takes the protocol's default: the code is EXECUTION_ERROR, Retryable is false, and
// Sent is what the table has for the code. It never fails.
func (e *Error) UnmarshalJSON(b []byte) error {
	f := wire.ParseFailure(b)
	*e = Error{Code: Code(f.Code), Message: f.Message, Retryable: f.Retryable, Sent: f.Sent, Details: f.Details}
	return nil
}

// Errorf returns an [*Error] for a handler to return. What its format wraps with %w is the cause.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	cause := errors.Unwrap(err)
	if _, several := err.(interface{ Unwrap() []error }); several {
		cause = err
	}
	return &Error{Code: code, Message: messageOf(err, code), Sent: wire.MayHaveRun(string(code)),
		Retryable: retryable[code], Cause: cause}
}

// messageOf is the text of err without the code that Error puts before it, where an [*Error] with this
// code is in its chain and its text in that of err.
func messageOf(err error, code Code) string {
	text := err.Error()
	if e, ok := errors.AsType[*Error](err); ok && e != nil && e.Code == code {
		inner := e.Error()
		return strings.Replace(text, inner, strings.TrimPrefix(inner, string(code)+": "), 1)
	}
	return text
}

// Refuse returns e marked as a refusal: the call has had no effect, so its caller sees Sent false and may
// repeat it. It is for interceptors around a handler, such as validation or a rate limit, and for a handler that
// refuses before it changes anything. The mark is for the call that is being handled: it does not reach the caller, and an
// error that a handler received from a call of its own carries none. Refuse does not change e; it returns nil for nil.
func Refuse(e *Error) error {
	if e == nil {
		return nil
	}
	unsent := *e
	unsent.Sent = false
	return callcore.Refusal{Err: &unsent}
}

// withoutRefusal returns the error of a call as its caller gets it. A caller that is a handler may return it, and has run.
func withoutRefusal(err error) error {
	if e, ok := errors.AsType[*Error](err); ok && callcore.Refuses(err, e) {
		return restated(err, e)
	}
	return err
}

// restated returns a copy of e, the first [*Error] in err's chain, with the text of what is wrapped around it.
func restated(err error, e *Error) *Error {
	out := *e
	switch err.(type) { //nolint:errorlint // whether something is wrapped around e
	case *Error, callcore.Refusal:
	default:
		out.Message, out.Cause = messageOf(err, e.Code), err
	}
	return &out
}

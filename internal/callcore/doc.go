// Package callcore is the part of package call that hubs and spokes share with it and that programs do not see. It is
// below package call, and so it knows none of its types.
package callcore

import "errors"

// RequestKey is the key under which the context of a handler has its *call.Request.
type RequestKey struct{}

// Refusal is the error of a call that has had no effect. Err is a *call.Error.
type Refusal struct{ Err error }

// Error implements error.
func (r Refusal) Error() string { return r.Err.Error() }

// Unwrap returns the error.
func (r Refusal) Unwrap() error { return r.Err }

// Refuses reports whether err is a refusal whose error is e, the first *call.Error in its chain. A refusal among
// the causes of e is that of another call.
func Refuses(err, e error) bool {
	r, ok := errors.AsType[Refusal](err)
	return ok && r.Err == e //nolint:errorlint // this one, not one like it
}

// Package callcore is the part of package call that hubs and spokes share with it and that programs do not see. It is
// below package call, and so it knows none of its types.
package callcore

// RequestKey is the key under which the context of a handler has its *call.Request.
type RequestKey struct{}

// Refusal is an error that was returned before the handler's own code ran, which an error of the handler cannot claim. Err is
// a *call.Error.
type Refusal struct{ Err error }

// Error implements error.
func (r Refusal) Error() string { return r.Err.Error() }

// Unwrap returns the error.
func (r Refusal) Unwrap() error { return r.Err }

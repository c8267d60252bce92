// Package call has the types of the call protocol and the typed helpers that
// programs use: operations and the registry that serves them, callers, errors,
// identities and envelopes.
//
// A [Caller] is anything that can make calls: a hub, or a spoke. A program that
// serves operations puts them into a [Registry]:
//
//	err := call.Handle(s.Operations(), call.Operation{Name: "text.wordcount"}, wordCount)
//
// and one that calls them uses [Invoke], [Stream] or [Gather]:
//
//	out, err := call.Invoke[Counts](ctx, h, "text.wordcount", doc)
//
// An [Interceptor] goes around handlers or around calls. [Retry] is one: calls through
//
//	retrying := call.Intercept(h, call.Retry(nil))
//
// are repeated if their error says that this may help.
//
// # Guarantees
//
// A call ends exactly once: with a value, or with an [*Error] that reports what
// happened, whether the handler's own code can have run ([Error.Sent]) and whether
// another attempt may succeed ([Error.Retryable]). No call is repeated once the
// handler can have run, unless its caller declares it [Idempotent]. When the caller's
// context ends, the call returns immediately and the handler's context is canceled, through every hub on the way. A stream
// yields its values in order; a slow reader slows its producer and nothing else. Leaving the loop over a stream, in any
// way, cancels its handler.
//
// Raw JSON passes through without being decoded; a Go value is marshaled once, where the program calls.
//
// # Bounds
//
// A unary call has [DefaultTimeout] (30 s) unless [Timeout] sets another; a stream has none. A stream asks for
// [DefaultCredit] (32) responses ahead of its reader unless [Credit] sets another number. A name of an operation has
// at most 256 bytes.
package call

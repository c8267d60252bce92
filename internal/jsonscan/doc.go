// Package jsonscan validates and takes apart JSON (RFC 8259) without reflection
// and, in the ordinary case, without allocating.
//
// It is what the wire is read with: encoding/json matches member names without
// regard to case and takes the last of two, which would let a sender show one
// value to a check and another to its user; this package hands out members as
// they stand, in order, and leaves the choice to the caller.
//
// What Valid accepts is what encoding/json.Valid accepts. UTF-8 is not checked but
// by ValidUTF8 and UTF8: run that once over the whole message. No function keeps the slices that
// it is given, and all of them may be called concurrently.
package jsonscan

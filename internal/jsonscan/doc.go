// Package jsonscan validates and takes apart JSON (RFC 8259) without reflection and, in the ordinary
// case, without allocating.
//
// The wire is read with it: encoding/json matches member names without regard to case and takes the
// last of two, so that a sender could show one value to a check and another to its user. A [Cursor]
// returns members as they are written, in order, and leaves the choice to the caller.
//
// It accepts what [encoding/json.Valid] accepts. UTF-8 is checked by [Check] only: run
// [unicode/utf8.Valid] once over a whole message. No function keeps the slices that are passed to it,
// and all functions may be called concurrently.
package jsonscan

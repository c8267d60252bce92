// Package schema checks the inputs of operations against JSON Schema, and derives
// the schemas from Go types.
//
// # Guarantees
//
// An input that does not fit never reaches the handler's own code: the call ends
// with VALIDATION_ERROR, Sent false, and details that say where and why:
//
//	{"at": "/lines/*/quantity", "schema": "/properties/lines/items/properties/quantity", "reason": "…"}
//
// A schema can do nothing but validate. References that lead out of it are
// refused when it is compiled; there is no loader and never any I/O. So are
// references in a circle, which would never end.
//
// What is validated is what the handler decodes: an input that names a member of
// an object twice is refused, since readers differ on which one counts. One
// freedom of [encoding/json] stays: it takes "AMOUNT" for a field named "amount".
// Derived schemas refuse members that are not in the type, this one included; a
// schema written by hand for a Go type should do so too, with
// "additionalProperties": false.
//
// # Bounds
//
// Nothing is kept between calls. An input nested deeper than 100 levels is
// refused. A reason is cut at 512 bytes. Regular expressions are Go's, which take
// linear time.
//
// # Usage
//
// [Handle] and [HandleStream] take the place of those of package call:
//
//	err := schema.Handle(s.Operations(), call.Operation{Name: "text.wordcount"}, wordCount)
//
// A schema that is written by hand is put into the call.Operation. Drafts
// 2020-12 (the default) and 07 are understood; "format" is not checked.
package schema

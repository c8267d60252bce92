package schema

import (
	"errors"
	"strings"
)

// locate reads an error of the library: where in the input it failed, at which
// place in the schema, and why.
//
// The library wraps an error once for each schema on the way down, as "validating
// <path>: …", and says nothing of the input. The way through the input follows
// from the way through the schema, up to the index of an item.
func (ns nodes) locate(err error) (at, schema, reason string) {
	var place string
	for first := true; ; first = false {
		inner := errors.Unwrap(err)
		if inner == nil {
			return at, place, err.Error()
		}
		step, ok := strings.CutPrefix(err.Error(), "validating ")
		step, ok2 := strings.CutSuffix(step, ": "+inner.Error())
		if !ok || !ok2 {
			return at, place, err.Error()
		}
		// The library calls the top "root", or by its $id.
		if ns[step] == nil && !strings.HasPrefix(step, "/") {
			step = ""
		}
		if !first {
			at += ns.part(place, step)
		}
		place, err = step, inner
	}
}

// part is the part of a value that the schema at path to applies to, where from
// applies to the whole: a piece of a JSON Pointer.
func (ns nodes) part(from, to string) string {
	rest, below := strings.CutPrefix(to, from+"/")
	if n := ns[from]; !below || (n != nil && n.ref == to && n.object["$ref"] != nil) {
		return "" // by a reference: the same value
	}
	keyword, name, named := strings.Cut(rest, "/")
	if strings.Contains(name, "/") {
		return "" // further down than one step: by a dynamic reference
	}
	switch keyword {
	case "properties", "prefixItems":
		return "/" + name
	case "items":
		if named { // a list of schemas, in draft 07
			return "/" + name
		}
		return "/*"
	case "additionalItems", "unevaluatedItems", "patternProperties", "additionalProperties", "unevaluatedProperties":
		return "/*"
	}
	return ""
}

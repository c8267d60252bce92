package call

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/alkdev/hubspoke/internal/callcore"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/internal/wire"
)

// Type is the kind of an operation.
type Type string

// The types of the protocol (section 4).
const (
	Query        Type = "query"        // reads; the default
	Mutation     Type = "mutation"     // changes something
	Subscription Type = "subscription" // a stream: many responses
)

// Operation describes something that can be called. It is what a program passes to [Handle] and what callers
// find in the list hub.operations; only the name is required.
type Operation struct {
	// Name is dotted: "namespace.name", 256 bytes at most, without white space or
	// control characters. Names that begin with "hub." belong to the hub.
	Name string `json:"name"`
	// Type is Query if it is empty, and Subscription for [HandleStream]. A Subscription is called as a stream by a caller that does
	// not choose, such as an HTTP gateway.
	Type Type `json:"type"`
	// Description is for people.
	Description string `json:"description,omitempty"`
	// InputSchema and OutputSchema are JSON Schemas. They are passed on unread;
	// package call/schema validates with them.
	InputSchema  json.RawMessage `json:"inputSchema,omitempty"`
	OutputSchema json.RawMessage `json:"outputSchema,omitempty"`
	// ErrorCodes are the codes of its own that the handler may answer.
	ErrorCodes []Code `json:"errorCodes,omitempty"`
	// Access is the rule for who may call it. The zero value lets every identity call.
	Access AccessControl `json:"accessControl,omitzero"`
}

// ErrInvalidOperation is wrapped by the errors of [Operation.Validate] and [Registry.Register].
var ErrInvalidOperation = callcore.ErrInvalidOperation

func invalid(name, format string, args ...any) error {
	return fmt.Errorf("%w %q: %s", ErrInvalidOperation, name, fmt.Sprintf(format, args...))
}

// Validate reports what is wrong with the description; the error wraps
// [ErrInvalidOperation]. Schemas must be JSON in UTF-8 of at most 250 levels; nothing else of them is checked.
func (o *Operation) Validate() error {
	bad := func(format string, args ...any) error { return invalid(o.Name, format, args...) }
	if !callcore.ValidName(o.Name) {
		return bad("the name must be dotted (namespace.name), without white space, %d bytes at most", wire.MaxNameBytes)
	}
	switch o.Type {
	case "", Query, Mutation, Subscription:
	default:
		return bad("unknown type %q", o.Type)
	}
	for _, c := range o.ErrorCodes {
		if !wire.ValidCode(string(c)) {
			return bad("error code %q is not upper snake case", c)
		}
	}
	if (o.Access.ResourceType == "") != (o.Access.ResourceAction == "") {
		return bad("resourceType and resourceAction go together")
	}
	for name, s := range map[string]json.RawMessage{"input": o.InputSchema, "output": o.OutputSchema} {
		if len(s) == 0 {
			continue
		}
		if err := jsonscan.Check(s, maxSchemaDepth); err != nil {
			return bad("the %s schema %v", name, err)
		}
	}
	if !utf8.ValidString(o.Description) || !o.Access.valid() {
		return bad("its description or access control is not UTF-8")
	}
	return nil
}

// maxSchemaDepth leaves room for the levels of a registration and of a list around a schema.
const maxSchemaDepth = 250

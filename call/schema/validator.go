package schema

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/alkdev/hubspoke/call"
)

// ErrInvalidSchema is what [Compile] wraps: the schema is no JSON Schema, refers to
// something outside itself, or goes in a circle.
var ErrInvalidSchema = errors.New("invalid schema")

// Validator is a compiled JSON Schema. All methods may be called concurrently.
type Validator struct {
	resolved *jsonschema.Resolved
	nodes    nodes
}

// Compile reads a JSON Schema. References must begin with "#" and stay within it,
// "$id" may stand only at the top, "$schema" must name draft 2020-12 or 07, and no
// schema may apply to a value by way of itself. Anything else is [ErrInvalidSchema].
// raw is not kept. No I/O takes place, now or later.
func Compile(raw json.RawMessage) (*Validator, error) {
	invalid := func(err error) (*Validator, error) { return nil, fmt.Errorf("%w: %w", ErrInvalidSchema, err) }
	if _, err := decode(raw); err != nil {
		return invalid(err)
	}
	var parsed jsonschema.Schema
	if bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		return invalid(errors.New("null is neither an object nor a boolean"))
	}
	if err := json.Unmarshal(raw, &parsed); err != nil {
		return invalid(err)
	}
	// The library matches keywords without regard to case. What it marshals has
	// them as it understood them, so that is what has to be looked through.
	understood, err := json.Marshal(&parsed)
	if err != nil {
		return invalid(err)
	}
	nodes, err := readNodes(understood)
	if err != nil {
		return invalid(err)
	}
	if err := nodes.check(); err != nil {
		return invalid(err)
	}
	resolved, err := parsed.Resolve(&jsonschema.ResolveOptions{}) // no Loader: no I/O
	if err != nil {
		return invalid(err)
	}
	return &Validator{resolved: resolved, nodes: nodes}, nil
}

// Validate checks an input; empty is null. The error is a [*call.Error] with
// call.CodeValidation and details as described in the package's comment. input is
// not kept.
func (v *Validator) Validate(input json.RawMessage) error {
	if len(input) == 0 {
		input = json.RawMessage("null")
	}
	value, err := decode(input)
	if err != nil {
		return failure("", "", err.Error(), err)
	}
	if err := v.resolved.Validate(value); err != nil {
		at, schema, reason := v.nodes.locate(err)
		return failure(at, schema, reason, err)
	}
	return nil
}

// Intercept is a [call.Interceptor] that validates the input and, when it does not
// fit, refuses the call without calling next.
func (v *Validator) Intercept(next call.Handler) call.Handler {
	return func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
		if err := v.Validate(req.Input); err != nil {
			if e, ok := errors.AsType[*call.Error](err); ok {
				return call.Refuse(e)
			}
			return err
		}
		return next(ctx, req, send)
	}
}

package schema

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"github.com/alkdev/hubspoke/call"
)

// Handle is [call.Handle] with both schemas derived from In and Out, as [For] does
// it, and every input validated before it is decoded. Validation comes after the
// interceptors in opts, just before fn. call.Schemas among opts has no effect.
//
// Besides what call.Handle fails with, it fails when For does.
func Handle[In, Out any](r *call.Registry, name string, fn func(ctx context.Context, in In) (Out, error), opts ...call.HandleOption) error {
	derived, err := derive[In, Out](name)
	if err != nil {
		return err
	}
	return call.Handle(r, name, fn, slices.Concat(opts, derived)...)
}

// HandleStream is [call.HandleStream] with schemas, as [Handle] is call.Handle. The
// output schema is that of one value of the stream.
func HandleStream[In, Out any](r *call.Registry, name string, fn func(ctx context.Context, in In, send func(Out) error) error, opts ...call.HandleOption) error {
	derived, err := derive[In, Out](name)
	if err != nil {
		return err
	}
	return call.HandleStream(r, name, fn, slices.Concat(opts, derived)...)
}

// Options gives what call.Handle needs to tell callers of two hand-written schemas
// and to validate inputs against the first. Either may be empty: then callers are
// told nothing, and any input passes. The output schema is compiled too, so that
// a mistake in it is found, but outputs are not validated.
//
// It fails with [ErrInvalidSchema].
func Options(input, output json.RawMessage) ([]call.HandleOption, error) {
	opts := []call.HandleOption{call.Schemas(input, output)}
	if len(output) > 0 {
		if _, err := Compile(output); err != nil {
			return nil, fmt.Errorf("output: %w", err)
		}
	}
	if len(input) > 0 {
		v, err := Compile(input)
		if err != nil {
			return nil, fmt.Errorf("input: %w", err)
		}
		opts = append(opts, call.With(v.Intercept))
	}
	return opts, nil
}

func derive[In, Out any](name string) ([]call.HandleOption, error) {
	input, err := For[In]()
	if err != nil {
		return nil, fmt.Errorf("schema: input of %s: %w", name, err)
	}
	var output json.RawMessage
	if reflect.TypeFor[Out]() != reflect.TypeFor[call.Envelope]() { // of whose data the type says nothing
		if output, err = For[Out](); err != nil {
			return nil, fmt.Errorf("schema: output of %s: %w", name, err)
		}
	}
	opts, err := Options(input, output)
	if err != nil {
		return nil, fmt.Errorf("schema: %s: %w", name, err)
	}
	return opts, nil
}

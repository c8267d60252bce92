package schema

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/alkdev/hubspoke/call"
)

// Handle is [call.Handle] with schemas. A schema that op lacks is derived from In or Out, as [For] does it, except the output of
// a [call.Envelope]. Every input is validated against op.InputSchema before it is decoded, inside the interceptors. An
// op.OutputSchema is compiled too, so that a mistake in it is found, but outputs are not validated.
//
// In addition to what call.Handle fails with, it fails with [ErrInvalidSchema], and if For does.
func Handle[In, Out any](r *call.Registry, op call.Operation, fn func(ctx context.Context, in In) (Out, error), interceptors ...call.Interceptor) error {
	interceptors, err := prepare[In, Out](&op, interceptors)
	if err != nil {
		return err
	}
	return call.Handle(r, op, fn, interceptors...)
}

// HandleStream is [call.HandleStream] with schemas, as [Handle] is call.Handle. The
// output schema is that of one value of the stream.
func HandleStream[In, Out any](r *call.Registry, op call.Operation, fn func(ctx context.Context, in In, send func(Out) error) error, interceptors ...call.Interceptor) error {
	interceptors, err := prepare[In, Out](&op, interceptors)
	if err != nil {
		return err
	}
	return call.HandleStream(r, op, fn, interceptors...)
}

// prepare sets the schemas that op lacks and returns the interceptors with the validation of inputs behind them.
func prepare[In, Out any](op *call.Operation, interceptors []call.Interceptor) ([]call.Interceptor, error) {
	var err error
	if len(op.InputSchema) == 0 {
		op.InputSchema, err = For[In]()
	}
	var input *Validator
	if err == nil {
		input, err = Compile(op.InputSchema)
	}
	if err != nil {
		return nil, fmt.Errorf("schema: input of %s: %w", op.Name, err)
	}
	if len(op.OutputSchema) > 0 {
		_, err = Compile(op.OutputSchema)
	} else if reflect.TypeFor[Out]() != reflect.TypeFor[call.Envelope]() { // of whose data the type says nothing
		op.OutputSchema, err = For[Out]()
	}
	if err != nil {
		return nil, fmt.Errorf("schema: output of %s: %w", op.Name, err)
	}
	return append(slices.Clip(interceptors), input.Intercept), nil
}

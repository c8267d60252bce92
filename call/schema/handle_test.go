package schema

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/alkdev/hubspoke/call"
)

type ctx = context.Context

type item struct {
	Name     string `json:"name"`
	Quantity uint8  `json:"quantity,omitempty"`
}

// serve runs a registered operation as the framework does.
func serve(t *testing.T, r *call.Registry, name, input string) ([]string, *call.Error) {
	t.Helper()
	_, h, ok := r.Lookup(name)
	if !ok {
		t.Fatalf("%s is not registered", name)
	}
	var out []string
	err := h(t.Context(), &call.Request{Operation: name, Input: json.RawMessage(input)}, func(e call.Envelope) error {
		out = append(out, string(e.Data))
		return nil
	})
	return out, call.HandlerError(t.Context(), err)
}

func TestHandle(t *testing.T) {
	var r call.Registry
	var ran int
	var passed []string
	watch := func(next call.Handler) call.Handler {
		return func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
			passed = append(passed, string(req.Input))
			return next(ctx, req, send)
		}
	}
	err := Handle(&r, "stock.order", func(_ ctx, in item) (string, error) {
		ran++
		return in.Name, nil
	}, call.OfType(call.Mutation), call.With(watch))
	if err != nil {
		t.Fatal(err)
	}
	op, _, _ := r.Lookup("stock.order")
	if op.Type != call.Mutation || !json.Valid(op.InputSchema) || string(op.OutputSchema) != `{"type":"string"}` {
		t.Errorf("operation %+v", op)
	}
	if out, err := serve(t, &r, "stock.order", `{"name":"x"}`); err != nil || !slices.Equal(out, []string{`"x"`}) {
		t.Errorf("got %q, %v", out, err)
	}
	for _, input := range []string{``, `{"name":1}`, `{"name":"x","quantity":300}`, `{"name":"x","Quantity":1}`} {
		_, err := serve(t, &r, "stock.order", input)
		if err == nil || err.Code != call.CodeValidation || err.Sent || len(err.Details) == 0 {
			t.Errorf("%s: %#v", input, err)
		}
	}
	if ran != 1 || len(passed) != 5 {
		t.Errorf("fn ran %d times, the interceptor %d times; want 1, 5", ran, len(passed))
	}
	if err := Handle(&r, "stock.order", func(_ ctx, in item) (int, error) { return 0, nil }); !errors.Is(err, call.ErrDuplicateOperation) {
		t.Errorf("registered twice: %v", err)
	}
}

func TestHandleStream(t *testing.T) {
	var r call.Registry
	err := HandleStream(&r, "stock.watch", func(_ ctx, in item, send func(int) error) error {
		return errors.Join(send(1), send(2))
	})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := serve(t, &r, "stock.watch", `{"name":"x"}`); err != nil || !slices.Equal(out, []string{"1", "2"}) {
		t.Errorf("got %q, %v", out, err)
	}
	if out, err := serve(t, &r, "stock.watch", `{}`); err == nil || len(out) > 0 {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestHandleEnvelope(t *testing.T) {
	var r call.Registry
	err := Handle(&r, "a.b", func(ctx, json.RawMessage) (call.Envelope, error) { return call.Envelope{}, nil })
	if err != nil {
		t.Fatal(err)
	}
	if op, _, _ := r.Lookup("a.b"); op.OutputSchema != nil {
		t.Errorf("output schema %s", op.OutputSchema)
	}
}

func TestOptions(t *testing.T) {
	bad := json.RawMessage(`{"$ref":"http://example.com"}`)
	for _, pair := range [][2]json.RawMessage{{bad, nil}, {nil, bad}} {
		if _, err := Options(pair[0], pair[1]); !errors.Is(err, ErrInvalidSchema) {
			t.Errorf("Options(%s, %s): %v", pair[0], pair[1], err)
		}
	}
	opts, err := Options(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var r call.Registry
	if err := call.Handle(&r, "a.b", func(_ ctx, in json.RawMessage) (json.RawMessage, error) { return in, nil }, opts...); err != nil {
		t.Fatal(err)
	}
	if out, err := serve(t, &r, "a.b", `{"x":1,"x":2}`); err != nil || len(out) != 1 {
		t.Errorf("without a schema: %q, %v", out, err)
	}
}

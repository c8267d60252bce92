package schema

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
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
	return out, peer.HandlerError(t.Context(), err)
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
	err := Handle(&r, call.Operation{Name: "stock.order", Type: call.Mutation}, func(_ ctx, in item) (string, error) {
		ran++
		return in.Name, nil
	}, watch)
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
	if err := Handle(&r, call.Operation{Name: "stock.order"}, func(_ ctx, in item) (int, error) { return 0, nil }); !errors.Is(err, call.ErrDuplicateOperation) {
		t.Errorf("registered twice: %v", err)
	}
}

func TestHandleStream(t *testing.T) {
	var r call.Registry
	err := HandleStream(&r, call.Operation{Name: "stock.watch"}, func(_ ctx, in item, send func(int) error) error {
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
	err := Handle(&r, call.Operation{Name: "a.b"}, func(ctx, json.RawMessage) (call.Envelope, error) { return call.Envelope{}, nil })
	if err != nil {
		t.Fatal(err)
	}
	if op, _, _ := r.Lookup("a.b"); op.OutputSchema != nil {
		t.Errorf("output schema %s", op.OutputSchema)
	}
}

// Schemas of the descriptor are used instead of those of the types.
func TestHandleWithSchemas(t *testing.T) {
	bad := json.RawMessage(`{"$ref":"http://example.com"}`)
	echo := func(_ ctx, in json.RawMessage) (json.RawMessage, error) { return in, nil }
	derived, err := For[json.RawMessage]()
	if err != nil {
		t.Fatal(err)
	}
	var r call.Registry
	for _, op := range []call.Operation{{Name: "a.b", InputSchema: bad}, {Name: "a.b", OutputSchema: bad}} {
		if err := Handle(&r, op, echo); !errors.Is(err, ErrInvalidSchema) {
			t.Errorf("%+v: %v", op, err)
		}
	}
	for _, op := range []call.Operation{
		{Name: "a.input", InputSchema: json.RawMessage(`{"type":"string"}`)},
		{Name: "a.output", OutputSchema: json.RawMessage(`{"type":"string"}`)},
	} {
		if err := Handle(&r, op, echo); err != nil {
			t.Fatal(err)
		}
		got, _, _ := r.Lookup(op.Name)
		for _, s := range [][2]json.RawMessage{{op.InputSchema, got.InputSchema}, {op.OutputSchema, got.OutputSchema}} {
			if want := s[0]; string(s[1]) != cmp.Or(string(want), string(derived)) {
				t.Errorf("%s is registered with %s", op.Name, s[1])
			}
		}
		out, err := serve(t, &r, op.Name, `5`)
		if refused := op.InputSchema != nil; refused != (err != nil) || refused == (len(out) == 1) {
			t.Errorf("%s: %q, %v", op.Name, out, err)
		}
	}
}

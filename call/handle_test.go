package call_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
)

// serve runs a registered handler on an input and gives what it sent.
func serve(t *testing.T, r *call.Registry, name, input string) ([]string, error) {
	t.Helper()
	_, h, ok := r.Lookup(name)
	if !ok {
		t.Fatalf("%s is not registered", name)
	}
	var sent []string
	req := call.NewRequest(name, json.RawMessage(input))
	err := h(t.Context(), req, func(e call.Envelope) error { sent = append(sent, string(e.Data)); return nil })
	if err != nil {
		err = peer.HandlerError(t.Context(), err)
	}
	return sent, err
}

type doc struct {
	Text string `json:"text"`
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestHandle(t *testing.T) {
	var r call.Registry
	must(t, call.Handle(&r, call.Operation{Name: "x.len"}, func(_ context.Context, d doc) (int, error) { return len(d.Text), nil }))
	must(t, call.Handle(&r, call.Operation{Name: "x.raw"}, func(_ context.Context, in json.RawMessage) (json.RawMessage, error) { return in, nil }))
	must(t, call.Handle(&r, call.Operation{Name: "x.env"}, func(_ context.Context, in json.RawMessage) (call.Envelope, error) {
		return call.Envelope{Data: in}, nil
	}))
	must(t, call.Handle(&r, call.Operation{Name: "x.chan"}, func(context.Context, any) (chan int, error) { return make(chan int), nil }))
	must(t, call.Handle(&r, call.Operation{Name: "x.fail"}, func(context.Context, any) (int, error) { return 1, call.Errorf("OWN", "m") }))
	for _, c := range []struct {
		name, input, out string
		code             call.Code
		sent             bool
	}{
		{"x.len", `{"text":"four"}`, "4", "", false}, {"x.len", ``, "0", "", false}, {"x.len", `null`, "0", "", false},
		{"x.len", `{"text":5}`, "", call.CodeValidation, false}, {"x.len", `{`, "", call.CodeValidation, false},
		{"x.raw", `{"a": 1}`, `{"a": 1}`, "", false}, {"x.env", `5`, "5", "", false},
		{"x.chan", ``, "", call.CodeExecution, true}, {"x.fail", ``, "", "OWN", true},
	} {
		sent, err := serve(t, &r, c.name, c.input)
		e, _ := errors.AsType[*call.Error](err)
		switch {
		case c.code == "" && (err != nil || len(sent) != 1 || sent[0] != c.out):
			t.Errorf("%s(%s): %q, %v", c.name, c.input, sent, err)
		case c.code != "" && (e == nil || e.Code != c.code || e.Sent != c.sent || len(sent) != 0):
			t.Errorf("%s(%s): %q, %v", c.name, c.input, sent, err)
		}
	}
}

func TestHandleStream(t *testing.T) {
	var r call.Registry
	must(t, call.HandleStream(&r, call.Operation{
		Name: "x.count", Description: "counts", ErrorCodes: []call.Code{"OWN"}, InputSchema: json.RawMessage(`{}`),
		Access: call.AccessControl{RequiredScopes: []string{"s"}},
	}, func(_ context.Context, n int, send func(int) error) error {
		for i := range n {
			if err := send(i); err != nil {
				return err
			}
		}
		return errors.New("at the end")
	}))
	sent, err := serve(t, &r, "x.count", "3")
	if len(sent) != 3 || sent[2] != "2" || !errors.Is(err, call.CodeExecution) {
		t.Errorf("%q, %v", sent, err)
	}
	op, _, _ := r.Lookup("x.count")
	if op.Type != call.Subscription || op.Description != "counts" || op.ErrorCodes[0] != "OWN" || string(op.InputSchema) != "{}" || op.Access.IsZero() {
		t.Errorf("%+v", op)
	}
	must(t, call.Handle(&r, call.Operation{Name: "x.mutate", Type: call.Mutation}, func(context.Context, any) (any, error) { return nil, nil }))
	if op, _, _ := r.Lookup("x.mutate"); op.Type != call.Mutation {
		t.Errorf("%+v", op)
	}
	if err := call.Handle(&r, call.Operation{Name: "bad"}, func(context.Context, any) (any, error) { return nil, nil }); !errors.Is(err, call.ErrInvalidOperation) {
		t.Errorf("%v", err)
	}
}

package badvalues

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/wire"
)

// Nested is an array nested n levels deep; 0 is a number.
func Nested(n int) json.RawMessage {
	return json.RawMessage(strings.Repeat("[", n) + "1" + strings.Repeat("]", n))
}

// Latin1 is a JSON string that is not UTF-8.
var Latin1 = json.RawMessage("\"caf\xe9\"")

// row is a value that holds another one, which json.Marshal copies without a look at its UTF-8.
type row struct {
	Name string          `json:"name"`
	Raw  json.RawMessage `json:"raw"`
}

// serve registers the operations with bad values under the prefix.
func serve(t testing.TB, r *call.Registry, prefix string) {
	must := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	must(call.Handle(r, call.Operation{Name: prefix + ".struct"}, func(context.Context, any) (row, error) { return row{"x", Latin1}, nil }))
	must(call.Handle(r, call.Operation{Name: prefix + ".raw"}, func(context.Context, any) (json.RawMessage, error) { return Latin1, nil }))
	must(call.Handle(r, call.Operation{Name: prefix + ".nojson"}, func(context.Context, any) (json.RawMessage, error) { return json.RawMessage(`{"a":`), nil }))
	must(call.Handle(r, call.Operation{Name: prefix + ".envelope"}, func(context.Context, any) (call.Envelope, error) {
		return call.Envelope{Data: json.RawMessage("1"), Meta: json.RawMessage(`{"status":200}`)}, nil
	}))
	must(call.Handle(r, call.Operation{Name: prefix + ".meta"}, func(context.Context, any) (call.Envelope, error) {
		return call.Envelope{Data: json.RawMessage("1"), Meta: json.RawMessage("{\"source\":\"http\",\"x\":\"\xe9\"}")}, nil
	}))
	must(r.Register(call.Operation{Name: prefix + ".ignores"}, func(_ context.Context, _ *call.Request, send func(call.Envelope) error) error {
		_ = send(call.Envelope{Data: Latin1})
		return nil
	}))
	must(call.HandleStream(r, call.Operation{Name: prefix + ".stream"}, func(_ context.Context, _ any, send func(any) error) error {
		return errors.Join(send(1), send(row{"x", Latin1}), send(3))
	}))
	must(call.HandleStream(r, call.Operation{Name: prefix + ".streamignores"}, func(_ context.Context, _ any, send func(any) error) error {
		_, _, _ = send(1), send(row{"x", Latin1}), send(3)
		return nil
	}))
	must(call.Handle(r, call.Operation{Name: prefix + ".details"}, func(context.Context, any) (any, error) {
		return nil, &call.Error{Code: "CARD_DECLINED", Message: "no funds", Details: json.RawMessage("{\"bank\":\"\xe9\"}")}
	}))
	must(call.Handle(r, call.Operation{Name: prefix + ".listdetails"}, func(context.Context, any) (any, error) {
		return nil, &call.Error{Code: "CARD_DECLINED", Message: "no funds", Details: json.RawMessage(`[1]`)}
	}))
	must(call.Handle(r, call.Operation{Name: prefix + ".deepdetails"}, func(context.Context, any) (any, error) {
		return nil, &call.Error{Code: "CARD_DECLINED", Message: "no funds", Details: json.RawMessage(`{"d":` + string(Nested(256)) + `}`)}
	}))
	must(call.Handle(r, call.Operation{Name: prefix + ".gooddetails"}, func(context.Context, any) (any, error) {
		return nil, &call.Error{Code: "CARD_DECLINED", Message: "no funds", Details: json.RawMessage(` {"d":` + string(Nested(255)) + `}`)}
	}))
	must(call.Handle(r, call.Operation{Name: prefix + ".deep"}, func(_ context.Context, n int) (json.RawMessage, error) { return Nested(n), nil }))
	must(call.HandleStream(r, call.Operation{Name: prefix + ".deepstream"}, func(_ context.Context, n int, send func(json.RawMessage) error) error {
		if err := send(Nested(1)); err != nil {
			return err
		}
		return send(Nested(n))
	}))
	must(call.Handle(r, call.Operation{Name: prefix + ".echo"}, func(_ context.Context, in json.RawMessage) (json.RawMessage, error) { return in, nil }))
}

// cases are calls, and how they end: with a code and words of the message, or well where there is no code.
var cases = []struct {
	operation string
	input     any
	metadata  json.RawMessage
	code      call.Code
	words     []string
}{
	{operation: "struct", code: call.CodeExecution, words: []string{"output of", ".struct", "not UTF-8 at byte"}},
	{operation: "raw", code: call.CodeExecution, words: []string{"output of", ".raw", "not UTF-8 at byte 4"}},
	{operation: "nojson", code: call.CodeExecution, words: []string{"output of", ".nojson", "not JSON"}},
	{operation: "envelope", code: call.CodeExecution, words: []string{".envelope", "no source"}},
	{operation: "meta", code: call.CodeExecution, words: []string{".meta", "not UTF-8"}},
	{operation: "ignores", code: call.CodeExecution, words: []string{".ignores", "not UTF-8"}},
	{operation: "stream", code: call.CodeExecution, words: []string{".stream", "not UTF-8"}},
	{operation: "streamignores", code: call.CodeExecution, words: []string{".streamignores", "not UTF-8"}},
	{operation: "details", code: call.CodeExecution, words: []string{".details", "not UTF-8", "CARD_DECLINED: no funds"}},
	{operation: "listdetails", code: call.CodeExecution, words: []string{".listdetails", "not an object", "CARD_DECLINED: no funds"}},
	{operation: "deepdetails", code: call.CodeExecution, words: []string{".deepdetails", "256 levels", "CARD_DECLINED: no funds"}},
	{operation: "gooddetails", code: "CARD_DECLINED", words: []string{"no funds"}},
	{operation: "deep", input: 256},
	{operation: "deep", input: 257, code: call.CodeExecution, words: []string{".deep", "256"}},
	{operation: "deep", input: 9990, code: call.CodeExecution, words: []string{".deep", "256"}},
	{operation: "deep", input: 12_000, code: call.CodeExecution, words: []string{".deep", "256"}},
	{operation: "deepstream", input: 256},
	{operation: "deepstream", input: 257, code: call.CodeExecution, words: []string{".deepstream", "256"}},
	{operation: "echo", input: Nested(254)},
	{operation: "echo", input: Nested(256)},
	{operation: "echo", input: Nested(257), code: call.CodeValidation, words: []string{"input of", ".echo", "257", "256"}},
	{operation: "echo", input: Nested(9_999), code: call.CodeValidation, words: []string{"input of", ".echo", "256"}},
	{operation: "echo", input: Nested(12_000), code: call.CodeValidation, words: []string{"input of", ".echo"}},
	{operation: "echo", input: row{"x", Latin1}, code: call.CodeValidation, words: []string{"input of", ".echo", "not UTF-8"}},
	{operation: "echo", input: Latin1, code: call.CodeValidation, words: []string{"input of", ".echo", "not UTF-8"}},
	{operation: "echo", input: json.RawMessage(`1 2`), code: call.CodeValidation, words: []string{"input of", ".echo", "not JSON"}},
	{operation: "echo", metadata: json.RawMessage("\n\t {\"a\":1}")},
	{operation: "echo", metadata: json.RawMessage("{\"a\":\"\xe9\"}"), code: call.CodeValidation, words: []string{"metadata", "not UTF-8"}},
	{operation: "echo", metadata: json.RawMessage(`[]`), code: call.CodeValidation, words: []string{"metadata", "not a JSON object"}},
	{operation: "echo", metadata: json.RawMessage(`{"a":` + string(Nested(255)) + `}`)},
	{operation: "echo", metadata: json.RawMessage(`{"a":` + string(Nested(256)) + `}`), code: call.CodeValidation, words: []string{"metadata", "257"}},
}

// Calls makes the calls of the table from a spoke and the program on one network to a spoke on the other, which
// may be the same, and to the hub's own operations. A stream and a call that others have in flight meanwhile, over the same connections and
// the same link, must not notice.
func Calls(t *testing.T, from, to *hubtest.Network) {
	release := make(chan struct{})
	worker := to.Spoke("worker", nil, func(r *call.Registry) {
		serve(t, r, "bad")
		if err := call.Handle(r, call.Operation{Name: "good.wait"}, func(ctx context.Context, _ any) (string, error) {
			select {
			case <-release:
				return "done", nil
			case <-ctx.Done():
				return "", context.Cause(ctx)
			}
		}); err != nil {
			t.Error(err)
		}
		if err := call.HandleStream(r, call.Operation{Name: "good.ticks"}, func(ctx context.Context, _ any, send func(int) error) error {
			for n := 0; ; n++ {
				if err := send(n); err != nil {
					return err
				}
			}
		}); err != nil {
			t.Error(err)
		}
	})
	serve(t, from.Hub.Operations(), "own")
	client := from.Spoke("client", nil, nil)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	bystanders := []*bystander{startBystander(ctx, from.Hub), startBystander(ctx, client)}
	for who, caller := range map[string]call.Caller{"hub": from.Hub, "spoke": client} {
		for _, prefix := range []string{"bad", "own"} {
			for i, c := range cases {
				opts := []call.Option{call.Metadata(c.metadata)}
				err := answer(ctx, caller, prefix+"."+c.operation, c.input, opts)
				if !ended(err, c.code, c.words) {
					t.Errorf("%s makes call %d of the table to %s.%s: %v", who, i, prefix, c.operation, err)
				}
				for _, b := range bystanders {
					b.lives(t, prefix+"."+c.operation)
				}
			}
		}
		gather(ctx, t, who, caller)
	}
	close(release)
	for _, b := range bystanders {
		if err := <-b.done; err != nil {
			t.Errorf("the call in flight: %v", err)
		}
	}
	for name, s := range map[string]*hubtest.Spoke{"worker": worker, "client": client} {
		if n := s.Stats().Connections; n != 1 {
			t.Errorf("the %s has connected %d times", name, n)
		}
	}
}

// answer makes a call, and reads all of it.
func answer(ctx context.Context, caller call.Caller, operation string, input any, opts []call.Option) error {
	if !strings.Contains(operation, "stream") {
		_, err := call.Invoke[json.RawMessage](ctx, caller, operation, input, opts...)
		return err
	}
	for _, err := range call.Stream[json.RawMessage](ctx, caller, operation, input, opts...) {
		if err != nil {
			return err
		}
	}
	return nil
}

func ended(err error, code call.Code, words []string) bool {
	if code == "" {
		return err == nil
	}
	e, ok := errors.AsType[*call.Error](err)
	if !ok || e.Code != code || e.Sent != wire.MayHaveRun(string(code)) {
		return false
	}
	for _, w := range words {
		if !strings.Contains(e.Message, w) {
			return false
		}
	}
	return true
}

// gather shows that a bad answer of one spoke is an error of that spoke.
func gather(ctx context.Context, t *testing.T, who string, caller call.Caller) {
	for operation, input := range map[string]any{"bad.struct": nil, "bad.deep": 255, "bad.details": nil} {
		n := 0
		for r, err := range call.Gather[json.RawMessage](ctx, caller, operation, input) {
			n++
			if err != nil || !errors.Is(r.Err, call.CodeExecution) || r.SpokeID != "worker" {
				t.Errorf("%s gathers %s: %+v, %v", who, operation, r, err)
			}
		}
		if n != 1 {
			t.Errorf("%s gathers %s: %d results", who, operation, n)
		}
	}
}

// bystander is a stream and a call of another spoke.
type bystander struct {
	turn   chan struct{} // receives for each value; closed when the stream has ended
	failed error         // why it ended; set before turn is closed
	done   chan error    // receives how the call ended
}

func startBystander(ctx context.Context, caller call.Caller) *bystander {
	b := &bystander{turn: make(chan struct{}), done: make(chan error, 1)}
	go func() {
		defer close(b.turn)
		for _, err := range call.Stream[int](ctx, caller, "good.ticks", nil) {
			if err != nil {
				b.failed = err
				return
			}
			select {
			case b.turn <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}()
	go func() {
		_, err := call.Invoke[string](ctx, caller, "good.wait", nil, call.Timeout(-1))
		b.done <- err
	}()
	return b
}

// lives reads one more value of the stream.
func (b *bystander) lives(t *testing.T, after string) {
	t.Helper()
	if _, ok := <-b.turn; !ok {
		t.Fatalf("after %s another caller's stream ended: %v", after, b.failed)
	}
}

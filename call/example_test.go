package call_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
)

// Numbers is the input of the examples' operations.
type Numbers struct {
	A, B int
}

func add(_ context.Context, in Numbers) (int, error) { return in.A + in.B, nil }

func divide(_ context.Context, in Numbers) (int, error) {
	if in.B == 0 {
		return 0, call.Errorf("DIVISION_BY_ZERO", "%d cannot be divided by 0", in.A)
	}
	return in.A / in.B, nil
}

func countTo(_ context.Context, n int, send func(int) error) error {
	for i := range n {
		if err := send(i + 1); err != nil {
			return err
		}
	}
	return nil
}

// exampleHub serves operations of its own; a spoke's are called in the same way.
func exampleHub(interceptors ...call.Interceptor) *hub.Hub {
	h, err := hub.New(&hub.Options{AllowAnonymous: true, Interceptors: interceptors})
	if err != nil {
		panic(err)
	}
	err = errors.Join(
		call.Handle(h.Operations(), call.Operation{Name: "math.add"}, add),
		call.Handle(h.Operations(), call.Operation{Name: "math.divide", ErrorCodes: []call.Code{"DIVISION_BY_ZERO"}}, divide),
		call.HandleStream(h.Operations(), call.Operation{Name: "math.count"}, countTo),
	)
	if err != nil {
		panic(err)
	}
	return h
}

func ExampleInvoke() {
	ctx := context.Background()
	h := exampleHub()
	defer h.Close()

	sum, err := call.Invoke[int](ctx, h, "math.add", Numbers{1, 2})
	fmt.Println(sum, err)

	// Raw JSON passes through.
	raw, err := call.Invoke[json.RawMessage](ctx, h, "math.add", json.RawMessage(`{"A":3,"B":4}`))
	fmt.Println(string(raw), err)

	_, err = call.Invoke[int](ctx, h, "math.add", "three")
	fmt.Println(errors.Is(err, call.CodeValidation))
	// Output:
	// 3 <nil>
	// 7 <nil>
	// true
}

func ExampleStream() {
	ctx := context.Background()
	h := exampleHub()
	defer h.Close()

	for n, err := range call.Stream[int](ctx, h, "math.count", 1000) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(n)
		if n == 2 {
			break // cancels the handler
		}
	}
	// Output:
	// 1
	// 2
}

// The code is tested with errors.Is, the rest is found with errors.AsType.
func ExampleError() {
	ctx := context.Background()
	h := exampleHub()
	defer h.Close()

	_, err := call.Invoke[int](ctx, h, "math.divide", Numbers{1, 0})
	fmt.Println(errors.Is(err, call.Code("DIVISION_BY_ZERO")))
	if e, ok := errors.AsType[*call.Error](err); ok {
		fmt.Println(e.Code, e.Message, e.Sent, e.Retryable)
	}

	_, err = call.Invoke[int](ctx, h, "math.multiply", Numbers{1, 2})
	if e, ok := errors.AsType[*call.Error](err); ok {
		fmt.Println(e.Code, e.Sent, e.Retryable)
	}
	// Output:
	// true
	// DIVISION_BY_ZERO 1 cannot be divided by 0 true false
	// OPERATION_NOT_FOUND false true
}

// A handler finds who calls, and what came along, in its context.
func ExampleFromContext() {
	ctx := context.Background()
	h := exampleHub()
	defer h.Close()
	err := call.Handle(h.Operations(), call.Operation{Name: "user.greet"}, func(ctx context.Context, _ any) (string, error) {
		req := call.FromContext(ctx)
		return fmt.Sprintf("%s, %s, %s", req.Operation, call.IdentityFrom(ctx).ID, req.Metadata), nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	out, err := call.Invoke[string](ctx, h, "user.greet", nil,
		call.As(&call.Identity{ID: "anna"}), call.Metadata(json.RawMessage(`{"traceparent":"00-1-2-01"}`)))
	fmt.Println(out, err)
	// Output: user.greet, anna, {"traceparent":"00-1-2-01"} <nil>
}

// Whatever has these two methods makes calls: here, one that answers by itself, for a test.
type fixed struct{ value json.RawMessage }

func (f fixed) Call(context.Context, *call.Request) (call.Envelope, error) {
	return call.Envelope{Data: f.value}, nil
}

func (f fixed) Stream(context.Context, *call.Request) iter.Seq2[call.Envelope, error] {
	return func(yield func(call.Envelope, error) bool) { yield(call.Envelope{Data: f.value}, nil) }
}

func ExampleCaller() {
	fmt.Println(call.Invoke[int](context.Background(), fixed{json.RawMessage("42")}, "math.add", nil))
	// Output: 42 <nil>
}

package call_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/alkdev/hubspoke/call"
)

func ExampleRegistry() {
	var r call.Registry
	fmt.Println(call.Handle(&r, call.Operation{Name: "math.add", Description: "adds two numbers"}, add))
	fmt.Println(call.HandleStream(&r, call.Operation{Name: "math.count", Description: "counts up"}, countTo))
	for _, op := range r.Operations() {
		fmt.Println(op.Name, op.Type, op.Description)
	}

	err := call.Handle(&r, call.Operation{Name: "math.add"}, add)
	fmt.Println(errors.Is(err, call.ErrDuplicateOperation))
	fmt.Println(r.Remove("math.add"), r.Remove("math.add"))
	// Output:
	// <nil>
	// <nil>
	// math.add query adds two numbers
	// math.count subscription counts up
	// true
	// true false
}

func ExampleHandle() {
	var r call.Registry
	err := call.Handle(&r, call.Operation{
		Name:        "account.close",
		Description: "closes an account for good",
		Type:        call.Mutation,
		Access:      call.AccessControl{RequiredScopes: []string{"accounts"}},
	}, func(_ context.Context, id string) (bool, error) { return id != "", nil })
	fmt.Println(err)
	fmt.Println(call.Handle(&r, call.Operation{Name: "close"}, add))
	// Output:
	// <nil>
	// invalid operation "close": the name must be dotted (namespace.name), without white space, 256 bytes at most
}

func ExampleHandleStream() {
	ctx := context.Background()
	h := exampleHub()
	defer h.Close()
	err := call.HandleStream(h.Operations(), call.Operation{Name: "math.squares"}, func(ctx context.Context, n int, send func(int) error) error {
		for i := range n {
			if err := send(i * i); err != nil {
				return err // the call is over
			}
		}
		return nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for n, err := range call.Stream[int](ctx, h, "math.squares", 3) {
		fmt.Println(n, err)
	}
	// Output:
	// 0 <nil>
	// 1 <nil>
	// 4 <nil>
}

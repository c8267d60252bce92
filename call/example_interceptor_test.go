package call_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/alkdev/hubspoke/call"
)

// Interceptors go around the making of calls (Intercept, and the Options of a hub or spoke) and around
// handlers (Registry.Use); they have one shape.
func ExampleInterceptor() {
	ctx := context.Background()
	note := func(side string) call.Interceptor {
		return func(next call.Handler) call.Handler {
			return func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
				fmt.Println(side, "before", req.Operation)
				return next(ctx, req, func(e call.Envelope) error {
					fmt.Println(side, "passes", string(e.Data))
					return send(e)
				})
			}
		}
	}
	h := exampleHub(note("caller"))
	defer h.Close()
	h.Operations().Use(note("handler"))

	fmt.Println(call.Invoke[int](ctx, h, "math.add", Numbers{1, 2}))
	// Output:
	// caller before math.add
	// handler before math.add
	// handler passes 3
	// caller passes 3
	// 3 <nil>
}

// An interceptor for some calls only: here, one that adds metadata.
func ExampleIntercept() {
	ctx := context.Background()
	h := exampleHub()
	defer h.Close()
	err := call.Handle(h.Operations(), call.Operation{Name: "request.metadata"}, func(ctx context.Context, _ any) (string, error) {
		return string(call.FromContext(ctx).Metadata), nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	traced := call.Intercept(h, func(next call.Handler) call.Handler {
		return func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
			r := *req
			r.Metadata = []byte(`{"traceparent":"00-1-2-01"}`)
			return next(ctx, &r, send)
		}
	})
	fmt.Println(call.Invoke[string](ctx, traced, "request.metadata", nil))
	fmt.Println(call.Invoke[string](ctx, h, "request.metadata", nil))
	// Output:
	// {"traceparent":"00-1-2-01"} <nil>
	//  <nil>
}

// Calls through the first Caller are repeated, calls through h are not. To repeat all calls of a hub or spoke,
// put Retry into its Options.Interceptors.
func ExampleRetry() {
	ctx := context.Background()
	h := exampleHub()
	defer h.Close()
	n := 0
	err := call.Handle(h.Operations(), call.Operation{Name: "stock.reserve"}, func(context.Context, string) (int, error) {
		if n++; n < 3 {
			return 0, call.Refuse(call.Errorf(call.CodeOverloaded, "attempt %d", n)) // nothing has run
		}
		return n, nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	retrying := call.Intercept(h, call.Retry(&call.RetryOptions{Attempts: 5}))
	fmt.Println(call.Invoke[int](ctx, retrying, "stock.reserve", "pears"))

	n = 0
	_, err = call.Invoke[int](ctx, h, "stock.reserve", "pears")
	fmt.Println(err)
	// Output:
	// 3 <nil>
	// OVERLOADED: attempt 1
}

// An interceptor that refuses a call vouches that the call has had no effect. So can a handler, as in the example of Retry.
func ExampleRefuse() {
	ctx := context.Background()
	h := exampleHub()
	defer h.Close()
	h.Operations().Use(func(next call.Handler) call.Handler {
		return func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
			if len(req.Metadata) == 0 {
				return call.Refuse(&call.Error{Code: call.CodeValidation, Message: "metadata is needed"})
			}
			return next(ctx, req, send)
		}
	})
	_, err := call.Invoke[int](ctx, h, "math.add", Numbers{1, 2})
	if e, ok := errors.AsType[*call.Error](err); ok {
		fmt.Println(e, e.Sent)
	}
	// Output: VALIDATION_ERROR: metadata is needed false
}

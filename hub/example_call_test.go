package hub_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/alkdev/hubspoke/call"
)

func ExampleHub_Call() {
	ctx := context.Background()
	h := newExampleHub()
	defer h.Close()
	_, stop7 := startExampleSpoke(h, "worker-7", nil)
	defer stop7()
	_, stop8 := startExampleSpoke(h, "worker-8", nil)
	defer stop8()

	name, err := call.Invoke[string](ctx, h, "node.name", nil, call.To("worker-7"))
	fmt.Println(name, err)

	name, err = call.Invoke[string](ctx, h, "node.name", nil, call.Select(map[string]string{"name": "worker-8"}))
	fmt.Println(name, err)

	_, err = call.Invoke[string](ctx, h, "node.name", nil, call.To("worker-9"), call.Timeout(time.Second))
	fmt.Println(err)
	// Output:
	// worker-7 <nil>
	// worker-8 <nil>
	// SPOKE_NOT_FOUND: spoke worker-9 is not connected
}

// One spoke streams to another. The hub passes the values on as the reader takes them.
func ExampleHub_stream() {
	ctx := context.Background()
	h := newExampleHub()
	defer h.Close()
	_, stopWorker := startExampleSpoke(h, "worker-7", func(r *call.Registry) error {
		return call.HandleStream(r, call.Operation{Name: "text.words"}, func(_ context.Context, in Text, send func(string) error) error {
			for word := range strings.FieldsSeq(in.Text) {
				if err := send(word); err != nil {
					return err // the reader has gone
				}
			}
			return nil
		})
	})
	defer stopWorker()
	s, stop := startExampleSpoke(h, "caller-1", nil)
	defer stop()

	for word, err := range call.Stream[string](ctx, s, "text.words", Text{"one two three"}, call.Credit(8)) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Println(word)
	}
	// Output:
	// one
	// two
	// three
}

func ExampleHub_gather() {
	ctx := context.Background()
	h := newExampleHub()
	defer h.Close()
	_, stop7 := startExampleSpoke(h, "worker-7", nil)
	defer stop7()
	_, stop8 := startExampleSpoke(h, "worker-8", nil)
	defer stop8()

	for r, err := range call.Gather[string](ctx, h, "node.name", nil, call.Timeout(5*time.Second)) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Println(r.SpokeID, r.Output, r.Err)
	}
	// Unordered output:
	// worker-7 worker-7 <nil>
	// worker-8 worker-8 <nil>
}

// A handler's error reaches the caller with its code, message and details.
func ExampleHub_errors() {
	const codeOutOfStock call.Code = "OUT_OF_STOCK"
	ctx := context.Background()
	h := newExampleHub()
	defer h.Close()
	_, stop := startExampleSpoke(h, "shop-1", func(r *call.Registry) error {
		err := call.Handle(r, call.Operation{Name: "shop.order"}, func(_ context.Context, article string) (string, error) {
			return "", &call.Error{Code: codeOutOfStock, Message: article + " is sold out", Retryable: true}
		})
		return err
	})
	defer stop()

	_, err := call.Invoke[string](ctx, h, "shop.order", "tea")
	if errors.Is(err, codeOutOfStock) {
		fmt.Println("try something else")
	}
	if e, ok := errors.AsType[*call.Error](err); ok {
		fmt.Println(e.Message, e.Sent, e.Retryable)
	}
	// Output:
	// try something else
	// tea is sold out true true
}

// What the program that embeds the hub serves itself is called like anything else.
func ExampleHub_Operations() {
	ctx := context.Background()
	h := newExampleHub()
	defer h.Close()
	s, stop := startExampleSpoke(h, "worker-7", nil)
	defer stop()

	err := call.Handle(h.Operations(), call.Operation{Name: "user.greet"}, func(ctx context.Context, _ any) (string, error) {
		return "hello " + call.IdentityFrom(ctx).ID, nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(call.Invoke[string](ctx, s, "user.greet", nil))
	fmt.Println(call.Invoke[string](ctx, h, "user.greet", nil, call.As(&call.Identity{ID: "anna"})))
	// Output:
	// hello worker-7 <nil>
	// hello anna <nil>
}

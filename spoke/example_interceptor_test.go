package spoke_test

import (
	"context"
	"fmt"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/spoke"
)

// Interceptors around the calls that a spoke makes, and around those that it serves.
func ExampleSpoke_interceptors() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	h := newExampleHub("hub-1")
	defer h.Close()

	logCalls := func(what string) call.Interceptor {
		return func(next call.Handler) call.Handler {
			return func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
				err := next(ctx, req, send)
				fmt.Println(what, req.Operation, err)
				return err
			}
		}
	}
	s, err := spoke.New("ws://hub-1", &spoke.Options{
		Dialer:       memoryDialer{"ws://hub-1": h},
		Interceptors: []call.Interceptor{logCalls("called")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	s.Operations().Use(logCalls("served"))
	err = call.Handle(s.Operations(), call.Operation{Name: "text.quote"}, func(_ context.Context, text string) (string, error) {
		return "«" + text + "»", nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = s.Run(ctx) }()

	out, err := call.Invoke[string](ctx, s, "text.quote", "hello") // spoke → hub → spoke
	fmt.Println(out, err)
	_ = s.Shutdown(ctx)
	// Unordered output:
	// served text.quote <nil>
	// called text.quote <nil>
	// «hello» <nil>
}

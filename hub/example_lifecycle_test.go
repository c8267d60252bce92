package hub_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

func ExampleNew() {
	_, err := hub.New(nil)
	fmt.Println(errors.Is(err, hub.ErrOptions), err)
	// Output: true hub: options: Authenticate is needed, or AllowAnonymous to let everybody in
}

// Shutdown lets the calls in flight end and refuses new ones.
func ExampleHub_Shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	h := newExampleHub()
	started, finish := make(chan struct{}), make(chan struct{})
	_, stop := startExampleSpoke(h, "worker-7", func(r *call.Registry) error {
		return call.Handle(r, call.Operation{Name: "work.long"}, func(context.Context, any) (string, error) {
			close(started)
			<-finish
			return "finished", nil
		})
	})
	defer stop()

	answer := make(chan string, 1)
	go func() {
		out, err := call.Invoke[string](ctx, h, "work.long", nil)
		answer <- fmt.Sprint(out, " ", err)
	}()
	<-started

	down := make(chan error, 1)
	go func() { down <- h.Shutdown(ctx) }()
	close(finish)
	fmt.Println(<-answer)
	fmt.Println(<-down)
	_, err := call.Invoke[string](ctx, h, "node.name", nil)
	fmt.Println(errors.Is(err, call.CodeUnavailable), err)
	// Output:
	// finished <nil>
	// <nil>
	// true UNAVAILABLE: the hub is draining
}

// Who is disconnected by the operator does not come back by itself.
func ExampleHub_Disconnect() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	h := newExampleHub()
	defer h.Close()
	s, err := spoke.New("ws://hub", &spoke.Options{ID: "worker-7", Dialer: memoryDialer{h, &call.Identity{ID: "worker"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	if err := s.Ready(ctx); err != nil {
		fmt.Println(err)
		return
	}

	fmt.Println(h.Disconnect(ctx, "worker-7", "it misbehaves"))
	if ce, ok := errors.AsType[*transport.CloseError](<-ran); ok {
		fmt.Println(int(ce.Code), ce.Reason, ce.Code.Terminal())
	}
	fmt.Println(h.Disconnect(ctx, "worker-9", "not there"))
	// Output:
	// true <nil>
	// 4503 it misbehaves true
	// false <nil>
}

// A connection need not be a WebSocket: Accept takes any that has been authenticated.
func ExampleHub_Accept() {
	ctx := context.Background()
	h := newExampleHub()
	defer h.Close()
	near, far := transport.Pipe(nil)
	registered := make(chan bool, 1)
	go func() { registered <- h.Accept(far, &call.Identity{ID: "worker"}) }()

	// Without package spoke: the registration as it stands on the wire.
	_ = near.Write([][]byte{[]byte(`{"type":"call.requested","payload":` +
		`{"requestId":"1","operationId":"hub.register","input":{"spokeId":"worker-7"}}}`)})
	message, _ := near.Read()
	var frame struct{ Type string }
	err := json.Unmarshal(message, &frame)
	fmt.Println(frame.Type, err, <-registered)
	for _, info := range h.Spokes(nil) {
		fmt.Println(info.SpokeID, info.IdentityID)
	}
	near.Abort()
	_ = h.Shutdown(ctx)
	// Output:
	// call.responded <nil> true
	// worker-7 worker
}

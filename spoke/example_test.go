package spoke_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// memoryDialer connects a spoke to hubs in the same process, by their URLs.
type memoryDialer map[string]*hub.Hub

func (d memoryDialer) Dial(_ context.Context, url string, _ http.Header) (transport.Conn, error) {
	near, far := transport.Pipe(nil)
	go d[url].Accept(far, &call.Identity{ID: "worker"}) // returns when the spoke has registered
	return near, nil
}

func newExampleHub(id string) *hub.Hub {
	h, err := hub.New(&hub.Options{ID: id, AllowAnonymous: true, DrainSpread: time.Millisecond})
	if err != nil {
		panic(err)
	}
	return h
}

func ExampleNew() {
	_, err := spoke.New("hub.example.com/spoke", nil)
	fmt.Println(errors.Is(err, spoke.ErrOptions), err)
	// Output: true spoke: options: URL "hub.example.com/spoke": the scheme must be ws, wss, http or https
}

// Run stays until its context ends, Shutdown has drained the spoke, or the hub says stop.
func ExampleSpoke_Run() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	h := newExampleHub("hub-1")
	defer h.Close()

	s, err := spoke.New("ws://hub-1", &spoke.Options{
		ID:      "worker-7",
		Dialer:  memoryDialer{"ws://hub-1": h},
		OnState: func(st spoke.State) { fmt.Println(st) },
	})
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

	if err := s.Shutdown(ctx); err != nil { // calls in flight end first
		fmt.Println(err)
	}
	fmt.Println(<-ran)
	// Output:
	// registered
	// draining
	// stopped
	// <nil>
}

// A hub that goes away sends its spokes to the next one.
func ExampleOptions_reconnect() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	first, second := newExampleHub("hub-1"), newExampleHub("hub-2")
	defer second.Close()

	s, err := spoke.New("ws://hub-1", &spoke.Options{
		ID:         "worker-7",
		URLs:       []string{"ws://hub-2"},
		Dialer:     memoryDialer{"ws://hub-1": first, "ws://hub-2": second},
		BackoffMin: time.Millisecond,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	came, err := hub.Connected.Subscribe(ctx, second.Events(), "worker-7")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer came.Stop()
	go func() { _ = s.Run(ctx) }()
	if err := s.Ready(ctx); err != nil {
		fmt.Println(err)
		return
	}

	if err := first.Shutdown(ctx); err != nil {
		fmt.Println(err)
	}
	if _, err := came.Next(ctx); err != nil {
		fmt.Println(err)
	}
	info, err := call.Invoke[hub.Info](ctx, s, "hub.info", nil)
	fmt.Println(info.HubID, err, s.Stats().Connections)
	_ = s.Shutdown(ctx)
	// Output: hub-2 <nil> 2
}

func ExampleSpoke_States() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	h := newExampleHub("hub-1")
	defer h.Close()
	s, err := spoke.New("ws://hub-1", &spoke.Options{Dialer: memoryDialer{"ws://hub-1": h}})
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = s.Run(ctx) }()

	for st := range s.States(ctx) { // a slow reader sees the newest state
		if st == spoke.Registered {
			break
		}
	}
	fmt.Println(s.State())
	_ = s.Shutdown(ctx)
	for st := range s.States(ctx) {
		fmt.Println(st)
	}
	// Output:
	// registered
	// stopped
}

// While there is no connection a call waits within its time.
func ExampleSpoke_Call() {
	ctx := context.Background()
	s, err := spoke.New("ws://localhost:1", nil) // and nobody runs it
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = call.Invoke[string](ctx, s, "node.name", nil, call.Timeout(time.Millisecond))
	if e, ok := errors.AsType[*call.Error](err); ok {
		fmt.Println(e, e.Sent)
	}
	// Output: TIMEOUT: no connection to a hub in the call's time false
}

// Discover asks a directory for the hubs, here a fixed list. The first of them is down.
func ExampleOptions_discover() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	h := newExampleHub("hub-2")
	defer h.Close()

	s, err := spoke.New("", &spoke.Options{
		Dialer: upDialer{memoryDialer{"ws://hub-2": h}},
		Discover: func(context.Context) ([]string, error) {
			return []string{"ws://hub-1", "ws://hub-2"}, nil
		},
		BackoffMin: time.Millisecond,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = s.Run(ctx) }()
	if err := s.Ready(ctx); err != nil {
		fmt.Println(err)
		return
	}
	info, err := call.Invoke[hub.Info](ctx, s, "hub.info", nil)
	fmt.Println(info.HubID, err, s.Stats().Attempts)
	_ = s.Shutdown(ctx)
	// Output: hub-2 <nil> 2
}

// upDialer dials the hubs that it knows; the others are down.
type upDialer struct{ up memoryDialer }

func (d upDialer) Dial(ctx context.Context, url string, header http.Header) (transport.Conn, error) {
	if d.up[url] == nil {
		return nil, errors.New("no such host")
	}
	return d.up.Dial(ctx, url, header)
}

// When SetLabels returns, the hub selects by the new labels.
func ExampleSpoke_SetLabels() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	h := newExampleHub("hub-1")
	defer h.Close()
	s, err := spoke.New("ws://hub-1", &spoke.Options{
		Labels: map[string]string{"model": "small"},
		Dialer: memoryDialer{"ws://hub-1": h},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = call.Handle(s.Operations(), call.Operation{Name: "model.name"}, func(context.Context, any) (string, error) { return "loaded", nil })
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = s.Run(ctx) }()

	large := call.Select(map[string]string{"model": "large"})
	if err := s.SetLabels(ctx, map[string]string{"model": "large"}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(call.Invoke[string](ctx, h, "model.name", nil, large))
	_ = s.Shutdown(ctx)
	// Output: loaded <nil>
}

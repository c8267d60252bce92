package hub_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// Text is what the operations of the examples take.
type Text struct {
	Text string `json:"text"`
}

// Counts is what text.wordcount answers.
type Counts struct {
	Words int `json:"words"`
}

func countWords(_ context.Context, in Text) (Counts, error) {
	return Counts{Words: len(strings.Fields(in.Text))}, nil
}

// A hub in a server, a spoke that dials it, and a call to what the spoke serves.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	h, err := hub.New(&hub.Options{
		Authenticate: hub.BearerTokens([]hub.Token{
			{Secret: "a long secret", Identity: call.Identity{ID: "workers"}},
		}),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("GET /spoke", h)
	server := httptest.NewServer(mux)
	defer server.Close()
	url := server.URL + "/spoke"

	s, err := spoke.New(url, &spoke.Options{
		ID:    "worker-7",
		Token: spoke.StaticToken("a long secret"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := call.Handle(s.Operations(), call.Operation{Name: "text.wordcount"}, countWords); err != nil {
		fmt.Println(err)
		return
	}
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	if err := s.Ready(ctx); err != nil {
		fmt.Println(err)
		return
	}

	out, err := call.Invoke[Counts](ctx, h, "text.wordcount", Text{"one two three"})
	fmt.Println(out.Words, err)

	fmt.Println("spoke:", s.Shutdown(ctx), <-ran)
	fmt.Println("hub:", h.Shutdown(ctx))
	// Output:
	// 3 <nil>
	// spoke: <nil> <nil>
	// hub: <nil>
}

// memoryDialer connects a spoke to a hub in the same process.
type memoryDialer struct {
	hub      *hub.Hub
	identity *call.Identity
}

func (d memoryDialer) Dial(context.Context, string, http.Header) (transport.Conn, error) {
	near, far := transport.Pipe(nil)
	go d.hub.Accept(far, d.identity) // returns when the spoke has registered
	return near, nil
}

// newExampleHub makes a hub that lets everybody in.
func newExampleHub() *hub.Hub {
	h, err := hub.New(&hub.Options{ID: "hub-1", AllowAnonymous: true})
	if err != nil {
		panic(err)
	}
	return h
}

// startExampleSpoke runs a spoke on h, with the identity that has its id, until the
// returned function is called. It serves node.name and what serve adds.
func startExampleSpoke(h *hub.Hub, id string, serve func(r *call.Registry) error) (s *spoke.Spoke, stop func()) {
	s, err := spoke.New("ws://hub", &spoke.Options{
		ID: id, Labels: map[string]string{"name": id}, Dialer: memoryDialer{h, &call.Identity{ID: id}},
	})
	if err != nil {
		panic(err)
	}
	err = call.Handle(s.Operations(), call.Operation{Name: "node.name"}, func(context.Context, any) (string, error) { return id, nil })
	if err == nil && serve != nil {
		err = serve(s.Operations())
	}
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Run(ctx) // until stop is called
	}()
	if err := s.Ready(ctx); err != nil {
		panic(err)
	}
	return s, func() { cancel(); <-done }
}

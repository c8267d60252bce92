package hub_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/spoke"
)

type counts struct {
	Words int `json:"words"`
}

func wordCount(_ context.Context, in struct {
	Text string `json:"text"`
}) (counts, error) {
	return counts{len(strings.Fields(in.Text))}, nil
}

func TestOneCallEachWay(t *testing.T) {
	h, err := hub.New(&hub.Options{AllowAnonymous: true})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	defer srv.Close()
	s, err := spoke.New(srv.URL, &spoke.Options{ID: "worker-7"})
	if err != nil {
		t.Fatal(err)
	}
	if err := call.Handle(s.Operations(), call.Operation{Name: "text.wordcount"}, wordCount); err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- s.Run(t.Context()) }()
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	in := map[string]string{"text": "one two three"}
	for _, c := range []call.Caller{h, s} {
		out, err := call.Invoke[counts](t.Context(), c, "text.wordcount", in)
		if err != nil || out.Words != 3 {
			t.Fatalf("%T: %v, %v", c, out, err)
		}
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	if err := h.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

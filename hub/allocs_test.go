//go:build !race

package hub_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/spoke"
)

// The allocations of a call, at both ends and over a real connection, are the figures that hold on every
// machine. Raising one of these numbers takes a reason.
func TestCallAllocations(t *testing.T) {
	h, spokes := benchHub(t, "caller", "callee")
	type text struct {
		Text string `json:"text"`
	}
	if err := call.Handle(spokes[1].Operations(), call.Operation{Name: "bench.typed"}, func(_ context.Context, in text) (text, error) {
		return in, nil
	}); err != nil {
		t.Fatal(err)
	}
	raw, background := benchInput(128), context.Background()
	typed := text{string(raw[9:118])}
	await(t, spokes[1], "bench.typed", h)
	for _, c := range []struct {
		name string
		most float64
		call func() error
	}{
		{"raw", 8, func() error {
			_, err := h.Call(background, &call.Request{Operation: "bench.echo", Input: raw, To: "callee"})
			return err
		}},
		{"typed, with a deadline", 30, func() error {
			ctx, cancel := context.WithTimeout(background, time.Minute)
			defer cancel()
			_, err := call.Invoke[text](ctx, h, "bench.typed", typed)
			return err
		}},
		{"from spoke to spoke", 15, func() error {
			_, err := spokes[0].Call(background, &call.Request{Operation: "bench.echo", Input: raw, To: "callee"})
			return err
		}},
	} {
		n := testing.AllocsPerRun(1000, func() {
			if err := c.call(); err != nil {
				t.Error(err)
			}
		})
		t.Logf("%s: %v", c.name, n)
		if n > c.most {
			t.Errorf("%s: %v allocations, at most %v", c.name, n, c.most)
		}
	}
}

// await waits until the hub knows an operation that was added to a connected spoke.
func await(t *testing.T, s *spoke.Spoke, operation string, c call.Caller) {
	t.Helper()
	req := call.NewRequest(operation, json.RawMessage(`{}`), call.WaitForSpoke())
	if _, err := c.Call(t.Context(), req); err != nil {
		t.Fatal(s.ID(), err)
	}
}

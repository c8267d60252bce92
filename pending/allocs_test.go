//go:build !race

package pending_test

import (
	"context"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/pending"
)

// A unary request costs itself and the copy of its answer, with a time-out or without; where it is part of
// something larger, the copy alone.
func TestUnaryAllocations(t *testing.T) {
	ctx := context.Background()
	id, value := []byte("request"), []byte("{}")
	var m pending.Map
	// The last answered requests are remembered: the list that holds them is there after a few.
	for name, c := range map[string]struct {
		timeout time.Duration
		taker   pending.Taker
		most    float64
	}{
		"read":                 {0, nil, 2},
		"read with a time-out": {time.Minute, nil, 2},
		"handed on":            {time.Minute, taker(func([]byte, error) {}), 1},
	} {
		n := testing.AllocsPerRun(1000, func() {
			r, err := m.Add("request", pending.Options{Timeout: c.timeout, Taker: c.taker})
			if err != nil {
				t.Fatal(err)
			}
			if out := m.Respond(id, value); out != pending.Delivered {
				t.Error(out)
			}
			if c.taker != nil {
				return
			}
			if _, err := r.Next(ctx); err != nil {
				t.Error(err)
			}
		})
		if n > c.most {
			t.Errorf("%s: %v allocations, at most %v", name, n, c.most)
		}
	}
}

func TestStreamAllocations(t *testing.T) {
	var m pending.Map
	ctx := context.Background()
	r, err := m.Add("s", pending.Options{Stream: true, Credit: 1})
	if err != nil {
		t.Fatal(err)
	}
	id, value := []byte("s"), []byte("{}")
	n := testing.AllocsPerRun(1000, func() {
		m.Respond(id, value)
		if _, err := r.Next(ctx); err != nil {
			t.Error(err)
		}
		r.Grant(1)
	})
	if n > 2 { // the copy, and now and then the list that holds it
		t.Errorf("%v allocations a response, at most 2", n)
	}
}

// A caller without a deadline that has to wait for its answer pays for no channel.
func TestWaitAllocations(t *testing.T) {
	var m pending.Map
	ctx := context.Background()
	id, value := []byte("request"), []byte("{}")
	asked := make(chan struct{})
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		for range asked { // runs when the caller waits: AllocsPerRun leaves one processor
			m.Respond(id, value)
		}
	}()
	n := testing.AllocsPerRun(1000, func() {
		r, err := m.Add("request", pending.Options{})
		if err != nil {
			t.Fatal(err)
		}
		asked <- struct{}{}
		if _, err := r.Next(ctx); err != nil {
			t.Error(err)
		}
	})
	close(asked)
	<-answered
	if n > 2 {
		t.Errorf("%v allocations, at most 2: the request and the copy of its answer", n)
	}
}

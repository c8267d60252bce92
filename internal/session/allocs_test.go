//go:build !race

package session

import (
	"context"
	"testing"
)

// A frame costs nothing on its way through the queue, whether its sender or the flusher writes it.
func TestSendAllocations(t *testing.T) {
	s := New(Options{})
	if err := s.Attach(nullConn{}); err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 200)
	flushed := func() {
		if err := s.Flush(context.Background()); err != nil {
			t.Error(err)
		}
	}
	for name, send := range map[string]func(){
		"response": func() {
			b := NewBuffer(0)
			b.B = append(b.B, data...)
			if _, err := s.Append(context.Background(), Response, b, 0, nil); err != nil {
				t.Error(err)
			}
		},
		"shared event": func() { appendEvent(s, "topic", Shared(data)) },
	} {
		n := testing.AllocsPerRun(1000, func() {
			send()
			flushed()
		})
		// Waiting for the flusher has a channel of its own.
		if n > 1 {
			t.Errorf("%s: %v allocations, at most 1", name, n)
		}
	}
	s.End(nil)
	s.Wait()
}

package hub

import (
	"context"
	"fmt"
	"testing"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/session"
)

// BenchmarkRoute is the choice of a spoke alone: by operation among many that serve it, and by id. It should
// cost the same for one spoke and for ten thousand.
func BenchmarkRoute(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		h, err := New(&Options{AllowAnonymous: true})
		if err != nil {
			b.Fatal(err)
		}
		h.table.spokes, h.table.providers = map[string]*conn{}, map[string][]*conn{}
		for i := range n {
			c := &conn{hub: h, id: fmt.Sprint("spoke-", i), generation: 1}
			c.profile.operations = map[string]call.Operation{"bench.echo": {Name: "bench.echo"}}
			c.peer = peer.New(context.Background(), peer.Config{Session: session.New(session.Options{})})
			h.table.spokes[c.id] = c
			h.table.provideLocked(c)
		}
		for name, req := range map[string]*call.Request{
			"operation": {Operation: "bench.echo"},
			"id":        {Operation: "bench.echo", To: fmt.Sprint("spoke-", n/2)},
		} {
			b.Run(fmt.Sprintf("by=%s/spokes=%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if h.candidate(req, nil) == nil {
						b.Fatal("nobody")
					}
				}
			})
		}
	}
}

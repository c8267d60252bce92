package peer

import (
	"context"
	"testing"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/transport"
)

func benchPair(b *testing.B) *Peer {
	x, y := transport.Pipe(nil)
	end := func(conn transport.Conn) *Peer {
		cfg := serving(echo)
		cfg.Session = session.New(session.Options{})
		if err := cfg.Session.Attach(conn); err != nil {
			b.Fatal(err)
		}
		p := newPeer(context.Background(), cfg)
		done := p.Done()
		go func() { p.End(p.Run(conn)) }()
		b.Cleanup(func() { conn.Abort(); <-done; p.Wait() })
		return p
	}
	p := end(x)
	end(y)
	return p
}

func BenchmarkCall(b *testing.B) {
	p := benchPair(b)
	req := unary("x.echo", `{"text":"hello"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Call(context.Background(), req); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCallParallel(b *testing.B) {
	p := benchPair(b)
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		req := &call.Request{Operation: "x.echo", Input: []byte(`{"text":"hello"}`)}
		for pb.Next() {
			if _, err := p.Call(context.Background(), req); err != nil {
				b.Error(err)
			}
		}
	})
}

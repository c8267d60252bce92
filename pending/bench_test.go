package pending_test

import (
	"context"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/pending"
)

func BenchmarkUnary(b *testing.B) {
	for _, c := range []struct {
		name    string
		timeout time.Duration
	}{{"NoTimeout", 0}, {"Timeout", 30 * time.Second}} {
		b.Run(c.name, func(b *testing.B) {
			var m pending.Map
			id, value := []byte("request"), []byte("{}")
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				r, err := m.Add("request", pending.Options{Timeout: c.timeout})
				if err != nil {
					b.Fatal(err)
				}
				m.Respond(id, value)
				if _, err := r.Next(ctx); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkStream(b *testing.B) {
	var m pending.Map
	r, err := m.Add("s", pending.Options{Stream: true, Credit: 1})
	if err != nil {
		b.Fatal(err)
	}
	id, value := []byte("s"), []byte("{}")
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		m.Respond(id, value)
		if _, err := r.Next(ctx); err != nil {
			b.Fatal(err)
		}
		r.Grant(1)
	}
}

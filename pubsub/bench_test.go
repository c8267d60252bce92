package pubsub

import (
	"fmt"
	"testing"
)

func BenchmarkLocalDispatch(b *testing.B) {
	for _, listeners := range []int{0, 1, 1000} {
		b.Run(fmt.Sprintf("listeners=%d", listeners), func(b *testing.B) {
			var local Local
			var heard int
			for range listeners {
				if _, err := local.Listen(b.Context(), "t", func(Event) { heard++ }); err != nil {
					b.Fatal(err)
				}
			}
			ev, ctx := event(`{"n":1}`), b.Context()
			b.ReportAllocs()
			for b.Loop() {
				if err := local.Dispatch(ctx, ev); err != nil {
					b.Fatal(err)
				}
			}
			if listeners > 0 {
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(heard), "ns/listener")
			}
		})
	}
}

// Many publishers on one topic, so that the work changes hands.
func BenchmarkLocalDispatchParallel(b *testing.B) {
	var local Local
	var lost int
	if _, err := local.Listen(b.Context(), "t", func(ev Event) { lost += ev.Dropped }); err != nil {
		b.Fatal(err)
	}
	ev, ctx := event(`{"n":1}`), b.Context()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_ = local.Dispatch(ctx, ev)
		}
	})
	b.ReportMetric(float64(lost)/float64(b.N), "lost/op")
}

// Publish, buffer, decode and read, in one goroutine.
func BenchmarkTopic(b *testing.B) {
	type status struct {
		State string `json:"state"`
		Step  int    `json:"step"`
	}
	var local Local
	topic := NewTopic[status]("session.status")
	sub, err := topic.Subscribe(b.Context(), &local, "proj_123")
	if err != nil {
		b.Fatal(err)
	}
	defer sub.Stop()
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if err := topic.Publish(ctx, &local, "proj_123", status{"running", 7}); err != nil {
			b.Fatal(err)
		}
		if _, err := sub.Next(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

// What one more subscription costs to make and to end.
func BenchmarkSubscribe(b *testing.B) {
	var local Local
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		sub, err := numbers.Subscribe(ctx, &local, "")
		if err != nil {
			b.Fatal(err)
		}
		sub.Stop()
	}
}

package redistarget_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/alkdev/hubspoke/internal/redistest"
	"github.com/alkdev/hubspoke/pubsub"
)

// BenchmarkPublish compares Dispatch with a bare PUBLISH of rueidis on the same
// server in the same run. Nobody listens, so that it is publishing that is measured.
// A context that can end costs both sides more.
func BenchmarkPublish(b *testing.B) {
	server := redistest.Any(b)
	client := clientOf(b, server)
	target := newTarget(b, client, nil)
	payload := []byte(`{"text":"` + strings.Repeat("x", 117) + `"}`)
	message := string(payload)
	bare := func(ctx context.Context) error {
		return client.Do(ctx, client.B().Publish().Channel("alk:events:bench").Message(message).Build()).Error()
	}
	ours := func(ctx context.Context) error {
		return target.Dispatch(ctx, pubsub.Event{Topic: "bench", Payload: payload})
	}
	for _, publishers := range []int{1, 64} {
		for name, ctx := range map[string]context.Context{"Background": context.Background(), "Cancelable": b.Context()} {
			b.Run(fmt.Sprintf("%d/%s/Rueidis", publishers, name), func(b *testing.B) { publishWith(b, ctx, publishers, bare) })
			b.Run(fmt.Sprintf("%d/%s/Dispatch", publishers, name), func(b *testing.B) { publishWith(b, ctx, publishers, ours) })
		}
	}
	for _, topics := range []int{1, 64} {
		b.Run(fmt.Sprintf("%dtopics/DispatchAsync", topics), func(b *testing.B) {
			b.ReportAllocs()
			room := make(chan struct{}, 4096)
			done := func(err error) {
				if err != nil {
					b.Error(err)
				}
				<-room
			}
			names := make([]string, topics)
			for i := range names {
				names[i] = fmt.Sprintf("bench.%d", i)
			}
			for i := 0; b.Loop(); i++ {
				room <- struct{}{}
				target.DispatchAsync(pubsub.Event{Topic: names[i%topics], Payload: payload}, done)
			}
			for range cap(room) {
				room <- struct{}{}
			}
		})
	}
}

func publishWith(b *testing.B, ctx context.Context, publishers int, publish func(context.Context) error) {
	b.ReportAllocs()
	var left atomic.Int64
	left.Store(int64(b.N))
	var working sync.WaitGroup
	b.ResetTimer()
	for range publishers {
		working.Go(func() {
			for left.Add(-1) >= 0 {
				if err := publish(ctx); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	working.Wait()
}

// BenchmarkDeliver is the whole way of an event: published, heard, handed to a listener.
func BenchmarkDeliver(b *testing.B) {
	server := redistest.Any(b)
	publisher, subscriber := newTarget(b, clientOf(b, server), nil), newTarget(b, clientOf(b, server), nil)
	payload := []byte(`{"text":"` + strings.Repeat("x", 117) + `"}`)
	room := make(chan struct{}, 1024)
	stop, err := subscriber.Listen(b.Context(), "bench", func(pubsub.Event) { <-room })
	if err != nil {
		b.Fatal(err)
	}
	defer stop()
	b.ReportAllocs()
	for b.Loop() {
		room <- struct{}{}
		publisher.DispatchAsync(pubsub.Event{Topic: "bench", Payload: payload}, nil)
	}
	for range cap(room) {
		room <- struct{}{}
	}
}

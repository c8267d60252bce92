package redistarget_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/internal/redistest"
	"github.com/alkdev/hubspoke/pubsub"
)

// BenchmarkPublish compares Dispatch with a bare PUBLISH of rueidis on the same
// server in the same run. Nobody listens, so that it is publishing that is measured.
// Each publisher keeps its context; one that can end costs both sides more.
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
	ctxs := map[string]func() context.Context{
		"Background": context.Background,
		"Cancelable": func() context.Context {
			ctx, cancel := context.WithCancel(context.Background())
			b.Cleanup(cancel)
			return ctx
		},
	}
	for _, publishers := range []int{1, 64} {
		for name, ctx := range ctxs {
			b.Run(fmt.Sprintf("%d/%s", publishers, name), func(b *testing.B) {
				each := make([]context.Context, publishers)
				for i := range each {
					each[i] = ctx()
				}
				compare(b, each, bare, ours)
			})
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

// compare runs both in turns, a few milliseconds each, so that both see the same
// machine. It reports the rate of ours as a share of the other's.
func compare(b *testing.B, publishers []context.Context, bare, ours func(context.Context) error) {
	const chunk = 2000
	b.ReportAllocs()
	var bareTime, ourTime time.Duration
	var shares []float64
	for b.Loop() {
		one := publishWith(b, publishers, chunk, bare)
		other := publishWith(b, publishers, chunk, ours)
		bareTime, ourTime = bareTime+one, ourTime+other
		shares = append(shares, one.Seconds()/other.Seconds())
	}
	slices.Sort(shares)
	total := float64(len(shares) * chunk)
	b.ReportMetric(shares[len(shares)/2], "share")
	b.ReportMetric(total/bareTime.Seconds(), "rueidis/s")
	b.ReportMetric(total/ourTime.Seconds(), "dispatch/s")
	b.ReportMetric(0, "ns/op")
}

func publishWith(b *testing.B, publishers []context.Context, events int, publish func(context.Context) error) time.Duration {
	var left atomic.Int64
	left.Store(int64(events))
	var working sync.WaitGroup
	begin := time.Now()
	for _, ctx := range publishers {
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
	return time.Since(begin)
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

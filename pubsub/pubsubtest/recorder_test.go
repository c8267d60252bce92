package pubsubtest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/pubsub"
)

func TestRecorderWaits(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var r Recorder
		ctx, cancel := context.WithCancel(t.Context())
		var waiting sync.WaitGroup
		for n := range 4 {
			waiting.Go(func() {
				if events, err := r.Wait(ctx, n); err != nil || len(events) != n {
					t.Errorf("Wait(%d): %d events, %v", n, len(events), err)
				}
			})
		}
		for range 4 {
			synctest.Wait()
			r.Record(pubsub.Event{})
		}
		waiting.Wait()
		cancel()
		if events, err := r.Wait(ctx, 9); len(events) != 4 || !errors.Is(err, context.Canceled) {
			t.Errorf("Wait(9): %d events, %v", len(events), err)
		}
		if n := len(r.Events()); n != 4 {
			t.Errorf("%d events", n)
		}
	})
}

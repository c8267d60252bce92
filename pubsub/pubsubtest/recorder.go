package pubsubtest

import (
	"context"
	"slices"
	"sync"

	"github.com/alkdev/hubspoke/pubsub"
)

// Recorder keeps the events that a listener hears, without bound: give its
// Record method to Listen. The zero value is ready for use; it must not be
// copied after that. All methods may be called concurrently.
type Recorder struct {
	mu      sync.Mutex // guards the fields below
	events  []pubsub.Event
	changed chan struct{} // closed by the next Record, nil while nobody waits
}

// Record appends ev. It never blocks.
func (r *Recorder) Record(ev pubsub.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, ev)
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// Events returns what has been recorded so far, gaps included, in order. The
// slice is the caller's; the payloads are shared.
func (r *Recorder) Events() []pubsub.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// Wait waits until at least n events have been recorded since the beginning and
// returns the first n. When ctx ends before that, it returns what there is and
// the cause.
func (r *Recorder) Wait(ctx context.Context, n int) ([]pubsub.Event, error) {
	events, err := r.waitFor(ctx, func(events []pubsub.Event) bool { return len(events) >= n })
	return events[:min(max(0, n), len(events))], err
}

// waitFor waits until enough says so of all that has been recorded.
func (r *Recorder) waitFor(ctx context.Context, enough func([]pubsub.Event) bool) ([]pubsub.Event, error) {
	for {
		r.mu.Lock()
		events := slices.Clone(r.events)
		if r.changed == nil {
			r.changed = make(chan struct{})
		}
		changed := r.changed
		r.mu.Unlock()
		if enough(events) {
			return events, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return events, context.Cause(ctx)
		}
	}
}

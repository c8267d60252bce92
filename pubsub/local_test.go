package pubsub

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

func mustListen(t *testing.T, target EventTarget, topic string, fn func(Event)) (stop func()) {
	t.Helper()
	stop, err := target.Listen(t.Context(), topic, fn)
	if err != nil {
		t.Fatal(err)
	}
	return stop
}

func TestLocalIdleHoldsNothing(t *testing.T) {
	var local Local
	if err := local.Dispatch(t.Context(), event("1")); err != nil {
		t.Fatal(err)
	}
	if local.topics != nil {
		t.Error("a map before the first listener")
	}
	var stops []func()
	for i := range 10 {
		stops = append(stops, mustListen(t, &local, fmt.Sprint(i/2), func(Event) {}))
	}
	for i, stop := range stops {
		stop()
		stop()
		if want := (9 - i + 1) / 2; len(local.topics) != want {
			t.Errorf("%d topics after %d stops, want %d", len(local.topics), i+1, want)
		}
	}
	if local.topics != nil {
		t.Error("a map after the last listener")
	}
}

func TestLocalClose(t *testing.T) {
	var local Local
	var heard, closed int
	stop := mustListen(t, &local, "t", func(Event) {
		heard++
		local.Close() // from a callback
	})
	local.AfterClose(func() { closed++ })
	takenBack := local.AfterClose(func() { t.Error("called though taken back") })
	if !takenBack() || takenBack() {
		t.Error("the first stop should say true, the second false")
	}
	if err := local.Dispatch(t.Context(), event("1")); err != nil {
		t.Fatal(err)
	}
	local.Close()
	stop()
	if err := local.Dispatch(t.Context(), event("2")); !errors.Is(err, ErrClosed) {
		t.Errorf("Dispatch: %v", err)
	}
	if _, err := local.Listen(t.Context(), "t", func(Event) {}); !errors.Is(err, ErrClosed) {
		t.Errorf("Listen: %v", err)
	}
	stopLate := local.AfterClose(func() { closed += 10 })
	if stopLate() {
		t.Error("stop says it was in time")
	}
	if heard != 1 || closed != 11 {
		t.Errorf("heard %d, closed %d; want 1, 11", heard, closed)
	}
}

func TestLocalCauseOfContext(t *testing.T) {
	var local Local
	cause := errors.New("cause")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := local.Dispatch(ctx, event("1")); !errors.Is(err, cause) {
		t.Errorf("Dispatch: %v", err)
	}
	if _, err := local.Listen(ctx, "t", func(Event) {}); !errors.Is(err, cause) {
		t.Errorf("Listen: %v", err)
	}
}

// A listener that another one's fn has stopped is not called any more, not even
// for the event that is being dispatched.
func TestLocalStopAnother(t *testing.T) {
	var local Local
	var stops []func()
	var calls int
	for range 2 {
		stops = append(stops, mustListen(t, &local, "t", func(Event) {
			calls++
			stops[0]()
			stops[1]()
		}))
	}
	for range 2 {
		if err := local.Dispatch(t.Context(), event("1")); err != nil {
			t.Fatal(err)
		}
	}
	if calls != 1 {
		t.Errorf("%d calls, want 1", calls)
	}
}

// A gap goes to the listeners as it is; other events say nothing of drops.
func TestLocalGap(t *testing.T) {
	var local Local
	var got []Event
	mustListen(t, &local, "t", func(ev Event) { got = append(got, ev) })
	for _, ev := range []Event{
		{Topic: "t", Gap: true, Dropped: 3, Payload: []byte("1")},
		{Topic: "t", Dropped: 3, Payload: []byte("2")},
	} {
		if err := local.Dispatch(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != 2 || !got[0].Gap || got[0].Dropped != 3 || got[0].Payload != nil || got[1].Gap || got[1].Dropped != 0 {
		t.Errorf("got %+v", got)
	}
}

// Two listeners that publish on each other's topics from two goroutines do not
// wait for each other.
func TestLocalCrossing(t *testing.T) {
	var local Local
	var mu sync.Mutex
	counts := make(map[string]int)
	for here, there := range map[string]string{"a": "b", "b": "a"} {
		mustListen(t, &local, here, func(ev Event) {
			mu.Lock()
			counts[here]++
			mu.Unlock()
			if string(ev.Payload) == "1" {
				_ = local.Dispatch(context.Background(), Event{Topic: there, Payload: []byte("2")})
			}
		})
	}
	var all sync.WaitGroup
	for _, topic := range []string{"a", "b"} {
		all.Go(func() {
			for range 200 {
				_ = local.Dispatch(context.Background(), Event{Topic: topic, Payload: []byte("1")})
			}
		})
	}
	all.Wait()
	if counts["a"] != 400 || counts["b"] != 400 {
		t.Errorf("counts %v, want 400 each", counts)
	}
}

// Listening, stopping and dispatching from many goroutines: every listener gets
// a run of each publisher's events without a hole.
func TestLocalManyAtOnce(t *testing.T) {
	const publishers, each, listeners = 3, 150, 4
	var local Local
	var publishing, listening sync.WaitGroup
	over := make(chan struct{})
	for p := range publishers {
		publishing.Go(func() {
			for n := range each {
				_ = local.Dispatch(context.Background(), Event{Topic: "t", Payload: fmt.Appendf(nil, "%d %d", p, n)})
			}
		})
	}
	for range listeners {
		listening.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				heard := make([][]int, publishers)
				var mu sync.Mutex // only for the read below
				stop, err := local.Listen(context.Background(), "t", func(ev Event) {
					var p, n int
					_, _ = fmt.Sscan(string(ev.Payload), &p, &n)
					mu.Lock()
					heard[p] = append(heard[p], n)
					mu.Unlock()
				})
				if err != nil {
					t.Error(err)
					return
				}
				for range rand.IntN(50) {
					_ = local.Dispatch(context.Background(), Event{Topic: "other"})
				}
				stop()
				mu.Lock()
				for p := range heard {
					if len(heard[p]) > 0 && !slices.Equal(heard[p], span(heard[p][0], len(heard[p]))) {
						t.Errorf("publisher %d: %v", p, heard[p])
					}
				}
				mu.Unlock()
			}
		})
	}
	publishing.Wait()
	close(over)
	listening.Wait()
	if local.topics != nil {
		t.Error("listeners are left")
	}
}

func span(from, n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = from + i
	}
	return s
}

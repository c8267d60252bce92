package redistarget_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/internal/redistest"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/pubsub/pubsubtest"
	"github.com/alkdev/hubspoke/pubsub/redistarget"
)

// A listener that blocks costs no more than the bound; every event is delivered or told as lost, in its place.
func TestInboxIsBounded(t *testing.T) {
	const events = 2000
	server := redistest.Start(t)
	target := newTarget(t, clientOf(t, server), &redistarget.Options{MaxQueueBytes: 64 << 10})
	recorder := new(pubsubtest.Recorder)
	release := make(chan struct{})
	stop, err := target.Listen(testContext(t), "topic", func(ev pubsub.Event) {
		<-release
		recorder.Record(ev)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for i := range events {
		dispatch(t, target, "topic", fmt.Sprintf("%100d", i))
	}
	redistest.Poll(t, "all to have come in", func() bool { return target.Stats().Received == events })
	if s := target.Stats(); s.Dropped == 0 || s.Queued > 70<<10 {
		t.Errorf("Stats: %+v", s)
	}
	close(release)
	redistest.Poll(t, "room", func() bool { return target.Stats().Queued == 0 })
	dispatch(t, target, "topic", fmt.Sprint(events))
	redistest.Poll(t, "the last", func() bool {
		all := recorder.Events()
		return len(all) > 0 && strings.TrimSpace(string(all[len(all)-1].Payload)) == fmt.Sprint(events)
	})
	next := 0
	for _, ev := range recorder.Events() {
		if ev.Gap {
			next += ev.Dropped
			continue
		}
		if got := strings.TrimSpace(string(ev.Payload)); got != fmt.Sprint(next) {
			t.Fatalf("got %s, want %d", got, next)
		}
		next++
	}
	if next != events+1 {
		t.Errorf("%d of %d events are accounted for", next, events+1)
	}
}

// What waits to be published is bounded, never blocks the caller, and everybody is told once.
func TestAsyncIsBounded(t *testing.T) {
	const events = 1000
	server := redistest.Start(t)
	target := newTarget(t, clientOf(t, server), &redistarget.Options{MaxQueueBytes: 64 << 10})
	server.Do("CLIENT", "PAUSE", "500", "ALL")
	var mu sync.Mutex
	var told, full int
	const text = "redistarget: too many events wait to be published: limit 65536 bytes (redistarget.Options.MaxQueueBytes)"
	done := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		told++
		switch {
		case errors.Is(err, redistarget.ErrQueueFull):
			if full++; full == 1 && err.Error() != text {
				t.Errorf("got %q, want %q", err, text)
			}
		case err != nil:
			t.Errorf("DispatchAsync: %v", err)
		}
	}
	for i := range events {
		target.DispatchAsync(pubsub.Event{Topic: "topic", Payload: fmt.Appendf(nil, "%200d", i)}, done)
	}
	redistest.Poll(t, "all to be told", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return told == events
	})
	s := target.Stats()
	if full == 0 || full == events || s.Refused != uint64(full) || s.Published != uint64(events-full) {
		t.Errorf("%d refused, Stats: %+v", full, s)
	}
}

// Asynchronous and waiting publishes of one publisher on a topic stay in order.
func TestAsyncOrder(t *testing.T) {
	const events = 3000
	server := redistest.Any(t)
	target := newTarget(t, clientOf(t, server), nil)
	topic := fmt.Sprint("order.", time.Now().UnixNano())
	recorder := listen(t, target, topic)
	for i := range events {
		ev := pubsub.Event{Topic: topic, Payload: fmt.Append(nil, i)}
		if i%50 == 49 {
			if err := target.Dispatch(testContext(t), ev); err != nil {
				t.Fatal(err)
			}
			continue
		}
		target.DispatchAsync(ev, nil)
	}
	got, err := recorder.Wait(testContext(t), events)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range texts(got) {
		if text != fmt.Sprint(i) {
			t.Fatalf("event %d is %s", i, text)
		}
	}
}

// Close may be called from everything that the target calls.
func TestCloseInCallbacks(t *testing.T) {
	server := redistest.Start(t)
	ctx := testContext(t)
	closed := make(chan string, 4)

	inListener := newTarget(t, clientOf(t, server), nil)
	if _, err := inListener.Listen(ctx, "topic", func(pubsub.Event) { inListener.Close(); closed <- "listener" }); err != nil {
		t.Fatal(err)
	}
	dispatch(t, inListener, "topic", "1")

	inDone := newTarget(t, clientOf(t, server), nil)
	inDone.DispatchAsync(pubsub.Event{Topic: "topic"}, func(error) { inDone.Close(); closed <- "done" })

	var inHealth *redistarget.Target
	ready := make(chan struct{})
	inHealth = newTarget(t, clientOf(t, server), &redistarget.Options{OnHealth: func(redistarget.Health) {
		<-ready
		inHealth.Close()
		select {
		case closed <- "health":
		default:
		}
	}})
	close(ready)
	server.Do("CLIENT", "KILL", "TYPE", "pubsub")
	for range 3 {
		select {
		case <-closed:
		case <-ctx.Done():
			t.Fatal("a callback that closes the target did not return")
		}
	}
}

// After Close nothing of the target runs, whatever state it was in.
func TestCloseLeavesNothing(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr())
	client := newClient(t, proxy.Addr())
	for _, trouble := range []func(){
		func() {},
		func() { proxy.Cut() },
		func() { proxy.StallAll(redistest.ToClient) },
		func() { proxy.Heal(); proxy.Refuse() },
	} {
		proxy.Heal()
		proxy.Cut()
		var target *redistarget.Target
		redistest.Poll(t, "a target", func() bool {
			var err error
			target, err = redistarget.New(client, quick())
			return err == nil
		})
		for i := range 10 {
			listen(t, target, fmt.Sprint(i))
			target.DispatchAsync(pubsub.Event{Topic: fmt.Sprint(i)}, nil)
		}
		trouble()
		for i := range 10 {
			target.DispatchAsync(pubsub.Event{Topic: fmt.Sprint(i)}, nil)
		}
		target.Close()
		// What was in a callback may take another moment.
		redistest.Poll(t, "all goroutines to end", func() bool { return running() == "" })
	}
}

// running gives the stacks of goroutines that the package has started.
func running() string {
	buf := make([]byte, 1<<20)
	var left []string
	for _, stack := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "created by github.com/alkdev/hubspoke/pubsub/redistarget.") {
			left = append(left, stack)
		}
	}
	return strings.Join(left, "\n\n")
}

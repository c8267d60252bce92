package redistarget_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/alkdev/hubspoke/internal/redistest"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/pubsub/redistarget"
)

const orderTopics = 3

func orderTopic(i int) string { return fmt.Sprintf("topic.%d", i) }

// Publishers and subscribers lose their connections again and again. Nothing comes twice, nothing
// out of order, and where something is missing that Redis took, there is a gap.
func TestOrderWithReconnects(t *testing.T) {
	const publishers, cuts = 8, 6
	server := redistest.Start(t)
	subProxy, pubProxy := redistest.NewProxy(t, server.Addr()), redistest.NewProxy(t, server.Addr())
	subscriber := newTarget(t, newClient(t, subProxy.Addr()), quick())
	publisher := newTarget(t, newClient(t, pubProxy.Addr()), quick())
	logs := make([]*log, orderTopics)
	for i := range logs {
		logs[i] = &log{last: make(map[int]int), ended: make(chan struct{})}
		stop, err := subscriber.Listen(testContext(t), orderTopic(i), logs[i].record)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
	}
	var published sync.Map // [3]int{topic, publisher, number}: Redis has confirmed it
	enough := make(chan struct{})
	var publishing sync.WaitGroup
	for p := range publishers {
		publishing.Go(func() { publishInOrder(t, publisher, p, &published, enough) })
	}
	for i := range cuts {
		proxy, target := subProxy, subscriber
		if i%3 == 2 {
			proxy, target = pubProxy, publisher
		}
		before := target.Stats().Reconnects
		proxy.Cut()
		redistest.Poll(t, "a reconnect", func() bool { return target.Stats().Reconnects > before })
		heard := subscriber.Stats().Received
		redistest.Poll(t, "events", func() bool { return subscriber.Stats().Received > heard+500 })
	}
	close(enough)
	publishing.Wait()
	for i := range logs {
		redistest.Poll(t, "the end mark to be published", func() bool {
			return publisher.Dispatch(t.Context(), pubsub.Event{Topic: orderTopic(i), Payload: []byte(`"end"`)}) == nil
		})
		select {
		case <-logs[i].ended:
		case <-testContext(t).Done():
			t.Fatal("the end did not arrive")
		}
		logs[i].check(t, func(p, n int) bool { _, ok := published.Load([3]int{i, p, n}); return ok })
	}
	if s := subscriber.Stats(); s.Reconnects == 0 || s.Gaps == 0 {
		t.Errorf("the subscriber lost nothing: %+v", s)
	}
	if s := publisher.Stats(); s.Reconnects == 0 {
		t.Errorf("the publisher lost nothing: %+v", s)
	}
}

// publishInOrder counts up on every topic until it is enough: by Dispatch or, with
// an odd number, by DispatchAsync, twenty rounds at a time.
func publishInOrder(t *testing.T, target *redistarget.Target, p int, published *sync.Map, enough <-chan struct{}) {
	var told sync.WaitGroup
	defer told.Wait()
	for n := 0; ; n++ {
		select {
		case <-enough:
			return
		default:
		}
		for i := range orderTopics {
			ev := pubsub.Event{Topic: orderTopic(i), Payload: fmt.Appendf(nil, "[%d,%d]", p, n)}
			outcome := func(err error) {
				if err == nil {
					published.Store([3]int{i, p, n}, true)
				} else if !errors.Is(err, redistarget.ErrUnavailable) {
					t.Errorf("Dispatch: %v", err)
				}
			}
			if p%2 == 0 {
				outcome(target.Dispatch(t.Context(), ev))
				continue
			}
			told.Add(1)
			target.DispatchAsync(ev, func(err error) { outcome(err); told.Done() })
		}
		if p%2 == 1 && n%20 == 0 {
			told.Wait()
		}
		if !target.Health().Up {
			redistest.Poll(t, "the publisher's link", func() bool { return target.Health().Up })
		}
	}
}

// log is what one listener has heard.
type log struct {
	entries []pubsub.Event
	last    map[int]int
	ended   chan struct{}
	done    bool
}

func (l *log) record(ev pubsub.Event) {
	if string(ev.Payload) == `"end"` && !l.done {
		l.done = true
		close(l.ended)
	}
	if !l.done {
		l.entries = append(l.entries, ev)
	}
}

func (l *log) check(t *testing.T, published func(publisher, n int) bool) {
	t.Helper()
	gaps := 0
	gapAt := make(map[int]int) // publisher: gaps before its last event
	heard, missing := 0, 0
	for _, ev := range l.entries {
		if ev.Gap {
			gaps++
			continue
		}
		var e [2]int
		if err := json.Unmarshal(ev.Payload, &e); err != nil {
			t.Fatal(err)
		}
		p, n := e[0], e[1]
		next := l.last[p]
		if n < next {
			t.Fatalf("publisher %d: %d came behind %d", p, n, next-1)
		}
		for i := next; i < n; i++ {
			if published(p, i) {
				missing++
				if gapAt[p] == gaps {
					t.Fatalf("publisher %d: %d is missing between %d and %d without a gap", p, i, next-1, n)
				}
			}
		}
		l.last[p], gapAt[p] = n+1, gaps
		heard++
	}
	t.Logf("%d heard, %d missing, %d gaps", heard, missing, gaps)
}

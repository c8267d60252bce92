package main

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/pubsub"
)

// How often each spoke, and the hub for each spoke, begins a call, a stream or an event of each kind. With
// the race detector this takes about half of two processors: a load that takes all of them measures the
// length of the run queue, not the hub.
const (
	callPeriod   = 40 * time.Millisecond
	streamPeriod = time.Second
	eventPeriod  = 20 * time.Millisecond
	streamLength = 100
)

// run makes load in all directions until the context ends, and returns when what
// was begun has ended.
func (f *fleet) run(ctx context.Context) {
	var wg sync.WaitGroup
	begun := 0
	every := func(d time.Duration, what func()) {
		begun++
		offset := d * time.Duration(begun%len(f.spokes)) / time.Duration(len(f.spokes)) // not all at the same time
		wg.Go(func() {
			pause(ctx, offset)
			tick := time.NewTicker(d)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					what()
				}
			}
		})
	}
	for i, s := range f.spokes {
		next := f.spokes[(i+1)%len(f.spokes)].ID()
		every(callPeriod, func() { f.call(f.hub, "soak.echo", call.To(s.ID())) })
		every(callPeriod, func() { f.call(f.hub, "soak.echo") }) // whoever has least to do
		every(callPeriod, func() { f.call(s, "hubs.echo") })
		every(callPeriod, func() { f.call(s, "soak.echo", call.To(next)) })
		every(streamPeriod, func() { f.stream(f.hub, "soak.count", call.To(s.ID())) })
		every(streamPeriod, func() { f.stream(s, "soak.count", call.To(next), call.Credit(4)) })
		every(streamPeriod, func() { f.stream(s, "hubs.count") })
		every(eventPeriod, func() { f.publish(s.Events(), "soak.of."+s.ID()) })
	}
	every(eventPeriod, func() { f.publish(f.hub.Events(), "soak.news") })
	wg.Wait()
}

func (f *fleet) call(c call.Caller, operation string, o ...call.Option) {
	id := f.nextID.Add(1)
	defer f.ledger.took("call", time.Now())
	out, err := call.Invoke[int64](context.Background(), c, operation, id, append(o, call.Timeout(f.limit))...)
	if err != nil || out != id {
		f.ledger.broken(callsAnswered, "%s of %s, call %d: %d, %v", operation, who(c), id, out, err)
	}
	f.mu.Lock()
	ran := f.runs[id]
	f.mu.Unlock()
	if !ran {
		f.ledger.broken(handlersOnce, "call %d was answered and did not run", id)
	}
	f.ledger.held(callsAnswered)
	f.ledger.held(handlersOnce)
}

func (f *fleet) stream(c call.Caller, operation string, o ...call.Option) {
	n := 0
	defer f.ledger.took("stream", time.Now())
	for out, err := range call.Stream[int](context.Background(), c, operation, streamLength, append(o, call.Timeout(f.limit))...) {
		if err != nil || out != n {
			f.ledger.broken(streamsWhole, "%s of %s: response %d is %d, %v", operation, who(c), n, out, err)
		}
		n++
	}
	if n != streamLength {
		f.ledger.broken(streamsWhole, "%s of %s ended after %d of %d", operation, who(c), n, streamLength)
	}
	f.ledger.held(streamsWhole)
}

func who(c call.Caller) string {
	if s, ok := c.(interface{ ID() string }); ok {
		return s.ID()
	}
	return "?"
}

// publish publishes the next event of a topic; there is one publisher for each.
func (f *fleet) publish(at pubsub.EventTarget, topic string) {
	f.mu.Lock()
	f.sent[topic]++
	n := f.sent[topic]
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), f.limit)
	defer cancel()
	if err := at.Dispatch(ctx, pubsub.Event{Topic: topic, Payload: json.RawMessage(strconv.Itoa(n))}); err != nil {
		f.ledger.broken(eventsInOrder, "%s was not published: %v", topic, err)
	}
}

// settle waits until all that was published has arrived and nothing is left.
func (f *fleet) settle(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		missing, s := f.missing(), f.hub.Stats()
		if missing == "" && atRest(s, len(f.spokes)) {
			f.ledger.held(nothingPending)
			return
		}
		select {
		case <-tick.C:
			continue
		case <-ctx.Done():
		}
		if missing != "" {
			f.ledger.broken(eventsInOrder, "%s", missing)
		}
		f.ledger.broken(nothingPending, "%+v", s)
	}
}

func atRest(s hub.Stats, spokes int) bool {
	return s.InFlight == 0 && s.Serving == 0 && s.Waiting == 0 && s.Spokes == spokes && s.QueuedBytes == 0
}

// missing says who has not heard all of a topic.
func (f *fleet) missing() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.subs {
		if got, want := f.arrived[s.name+" "+s.topic], f.sent[s.topic]; got != want {
			return s.name + " has heard " + strconv.Itoa(got) + " of " + strconv.Itoa(want) + " events of " + s.topic
		}
	}
	return ""
}

// leave shuts the spokes down in order.
func (f *fleet) leave(ctx context.Context) {
	for _, s := range f.subs {
		s.stop()
	}
	var wg sync.WaitGroup
	for _, s := range f.spokes {
		wg.Go(func() {
			if err := s.Shutdown(ctx); err != nil {
				f.ledger.broken(spokesGoOn, "%s does not end: %v", s.ID(), err)
			}
		})
	}
	wg.Wait()
	f.wg.Wait()
	f.stop()
}

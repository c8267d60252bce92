package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/spoke"
)

// fleet is the spokes and what they do.
type fleet struct {
	ledger *ledger
	limit  time.Duration // of each call, stream and publication
	hub    *hub.Hub
	spokes []*spoke.Spoke
	stop   context.CancelFunc
	wg     sync.WaitGroup
	nextID atomic.Int64

	mu      sync.Mutex     // guards the fields below
	runs    map[int64]bool // calls whose handler has run
	sent    map[string]int // events published, by topic
	arrived map[string]int // of these, by subscriber and topic
	subs    []subscriber
}

// subscriber is who hears a topic.
type subscriber struct {
	name, topic string
	stop        func()
}

// The invariants.
const (
	callsAnswered  = "every call is answered, with its own answer"
	handlersOnce   = "a handler runs once for each call"
	streamsWhole   = "every stream is complete and in order"
	eventsInOrder  = "every event arrives, once and in order"
	spokesGoOn     = "no spoke stops by itself"
	nothingPending = "nothing is in flight, waits or is queued at the end"
)

// callTime is the default limit of each call, stream and publication.
//
// A stream from spoke to spoke needs two connections. At one fault a second for each connection (the
// default: 20 over 20 spokes) they have, in 10 s, 16 cuts and 4 stalls on average. A cut costs the first
// backoff, at most 200 ms (a resumed session that advances resets the backoff), and a stall at most
// maxStall. The time that the faults take is at most the sum of these, a compound Poisson variable. The
// probability that the sum leaves a stream less than 1 s of its 10 s is 1.2e-9, less than 2 s 1.1e-7.
// Without faults a stream takes less than that. With stalls of up to 2 s the two probabilities would be
// 0.10 and 0.17, whatever hub and spokes do.
const callTime = 10 * time.Second

func startFleet(o *options, l *ledger, h *hub.Hub, url string) (*fleet, error) {
	f := &fleet{ledger: l, limit: o.limit, hub: h, runs: map[int64]bool{}, sent: map[string]int{}, arrived: map[string]int{}}
	if err := f.serve(h.Operations(), "hubs."); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	for i := range o.spokes {
		s, err := spoke.New(url, &spoke.Options{ID: fmt.Sprint("spoke-", i), Logger: &o.log})
		if err != nil {
			return nil, err
		}
		if err := f.serve(s.Operations(), "soak."); err != nil {
			return nil, err
		}
		f.spokes = append(f.spokes, s)
		f.wg.Go(func() {
			if err := s.Run(ctx); err != nil && ctx.Err() == nil {
				l.broken(spokesGoOn, "%s: %v", s.ID(), err)
			}
			l.held(spokesGoOn)
		})
	}
	ready, cancel := context.WithTimeout(ctx, endTime)
	defer cancel()
	for i, s := range f.spokes {
		if err := s.Ready(ready); err != nil {
			return nil, fmt.Errorf("%s: %w", s.ID(), err)
		}
		next := f.spokes[(i+1)%len(f.spokes)]
		for _, topic := range []string{"soak.news", "soak.of." + next.ID()} {
			if err := f.listen(ready, s.ID(), s.Events(), topic); err != nil {
				return nil, err
			}
		}
		if err := f.listen(ready, "hub", h.Events(), "soak.of."+s.ID()); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// serve registers what is called: an echo, which takes a while at times, and a stream.
func (f *fleet) serve(r *call.Registry, prefix string) error {
	err := call.Handle(r, call.Operation{Name: prefix + "echo"}, func(ctx context.Context, id int64) (int64, error) {
		f.mu.Lock()
		again := f.runs[id]
		f.runs[id] = true
		f.mu.Unlock()
		if again {
			f.ledger.broken(handlersOnce, "call %d ran again", id)
		}
		if id%16 == 0 {
			pause(ctx, time.Duration(id%128)*10*time.Millisecond)
		}
		return id, ctx.Err()
	})
	if err != nil {
		return err
	}
	return call.HandleStream(r, call.Operation{Name: prefix + "count"}, func(ctx context.Context, n int, send func(int) error) error {
		for i := range n {
			if err := send(i); err != nil {
				return err
			}
			if i%10 == 0 {
				pause(ctx, 5*time.Millisecond)
			}
		}
		return nil
	})
}

// pause waits, unless the context ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (f *fleet) listen(ctx context.Context, name string, at pubsub.EventTarget, topic string) error {
	last := 0
	stop, err := at.Listen(ctx, topic, func(ev pubsub.Event) {
		n := 0
		_, _ = fmt.Sscan(string(ev.Payload), &n)
		if ev.Gap || n != last+1 {
			f.ledger.broken(eventsInOrder, "%s hears %d of %s after %d (gap %v)", name, n, topic, last, ev.Gap)
		}
		last = n
		f.mu.Lock()
		f.arrived[name+" "+topic] = n
		f.mu.Unlock()
		f.ledger.held(eventsInOrder)
	})
	if err != nil {
		return fmt.Errorf("%s: %s: %w", name, topic, err)
	}
	f.subs = append(f.subs, subscriber{name, topic, stop})
	return nil
}

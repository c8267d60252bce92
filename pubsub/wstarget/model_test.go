package wstarget_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/pubsub/wstarget"
)

// ticker publishes numbers on a topic at the hub, and knows the last.
type ticker struct {
	mu   sync.Mutex
	last int
}

func (k *ticker) tick(core pubsub.EventTarget, topic string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last++
	_ = core.Dispatch(context.Background(), pubsub.Event{Topic: topic, Payload: fmt.Append(nil, k.last)})
}

func (k *ticker) now() int { k.mu.Lock(); defer k.mu.Unlock(); return k.last }

// model is a spoke and a hub whose connections, and whose core, take random times.
type model struct {
	core   *core
	fanout *wstarget.Fanout
	target wstarget.Target
	delay  func() time.Duration

	spoke, hub *end // of the current session
}

func newModel(rnd *rand.Rand, fails bool) *model {
	var mu sync.Mutex
	own := rand.New(rand.NewPCG(rnd.Uint64(), 0))
	number := func(n int) int { mu.Lock(); defer mu.Unlock(); return own.IntN(n) }
	m := &model{delay: func() time.Duration { return time.Duration(number(3)) * time.Millisecond }}
	m.core, m.fanout = newHub()
	m.core.delay = func() time.Duration { return time.Duration(number(20)) * time.Millisecond }
	m.core.fails = func() bool { return fails && number(6) == 0 }
	m.connect()
	return m
}

func (m *model) connect() { m.spoke, m.hub = join(&m.target, m.fanout, m.core, m.delay) }

func (m *model) disconnect() {
	m.spoke.close()
	m.hub.close()
}

// settle checks that nothing is left, at either end.
func (m *model) settle(t *testing.T) {
	t.Helper()
	<-time.After(time.Hour)
	if topics := m.hub.endpoint.Topics(); len(topics) != 0 || m.fanout.Topics() != 0 || m.core.listening.Load() != 0 {
		t.Errorf("no listener is left, and the hub has %v of %d topics, %d listeners", topics, m.fanout.Topics(), m.core.listening.Load())
	}
	m.disconnect()
	_, hub := rawHub(t, &m.target)
	hub.want(t) // the spoke has no subscription either
}

// In every order of listening and leaving, with sessions that end, and joins that take their time and fail: a listener misses
// nothing that was published after Listen returned but where it gets a gap, and when all has settled both ends agree on
// what is live.
func TestEndsAgree(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) { runModel(t, rand.New(rand.NewPCG(seed, 11)), seed%2 == 1) })
		})
	}
}

func runModel(t *testing.T, rnd *rand.Rand, cut bool) {
	m := newModel(rnd, true)
	topics := []string{"a", "b", "c"}
	tickers := map[string]*ticker{}
	for _, topic := range topics {
		tickers[topic] = &ticker{}
	}
	stop := make(chan struct{})
	var wg, users sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				for _, topic := range topics {
					tickers[topic].tick(m.core, topic)
				}
			}
		}
	})
	cuts := rand.New(rand.NewPCG(rnd.Uint64(), 1))
	wg.Go(func() {
		for cut {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(cuts.IntN(60)) * time.Millisecond):
				m.disconnect()
				<-time.After(time.Duration(cuts.IntN(20)) * time.Millisecond)
				m.connect()
			}
		}
	})
	for g := range 6 {
		own := rand.New(rand.NewPCG(uint64(g), rnd.Uint64()))
		users.Go(func() {
			for range 15 {
				topic := topics[own.IntN(len(topics))]
				use(t, &m.target, topic, tickers[topic], own, cut)
				<-time.After(time.Duration(own.IntN(15)) * time.Millisecond)
			}
		})
	}
	users.Wait()
	close(stop)
	wg.Wait()
	m.settle(t)
}

// use listens for a while and checks that the numbers that it hears have no hole but where it gets a gap. Without cuts it
// gets a gap only if the hub has refused it a subscription that was live, which a model without cuts never does.
func use(t *testing.T, target *wstarget.Target, topic string, k *ticker, rnd *rand.Rand, cut bool) {
	const gap = -1
	var mu sync.Mutex
	var heard []int
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+rnd.IntN(60))*time.Millisecond)
	defer cancel()
	stop, err := target.Listen(ctx, topic, func(ev pubsub.Event) {
		n := gap
		if !ev.Gap {
			fmt.Sscan(string(ev.Payload), &n)
		}
		mu.Lock()
		heard = append(heard, n)
		mu.Unlock()
	})
	if err != nil {
		return
	}
	due := k.now() + 1
	<-time.After(time.Duration(rnd.IntN(40)) * time.Millisecond)
	if rnd.IntN(2) == 0 {
		<-time.After(time.Second) // long enough for what was published meanwhile to have come
	}
	stop()
	stop()
	mu.Lock()
	defer mu.Unlock()
	missed := false
	for _, n := range heard {
		switch {
		case n == gap:
			missed = true
			if !cut {
				t.Errorf("%s: a gap in a session that lives", topic)
			}
			continue
		case n < due: // from before Listen returned
			continue
		case n != due && !missed:
			t.Errorf("%s: %d where %d is due", topic, n, due)
			return
		}
		due, missed = n+1, false
	}
}

// What is published while a session lives arrives at every listener.
func TestListenerGetsAll(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		rnd := rand.New(rand.NewPCG(1, 1))
		m := newModel(rnd, false)
		for round := range 40 {
			var mu sync.Mutex
			n := 0
			stop, err := m.target.Listen(t.Context(), "a", func(ev pubsub.Event) {
				mu.Lock()
				defer mu.Unlock()
				if !ev.Gap {
					n++
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if round%2 == 1 { // a listener gets all of the next session too
				m.disconnect()
				m.connect()
				<-time.After(time.Minute)
			}
			for i := range 10 {
				publish(t, m.core, "a", fmt.Sprint(i))
			}
			<-time.After(time.Minute)
			mu.Lock()
			if n != 10 {
				t.Errorf("round %d: %d of 10", round, n)
			}
			mu.Unlock()
			stop()
			if rnd.IntN(2) == 0 {
				<-time.After(time.Duration(rnd.IntN(10)) * time.Millisecond)
			}
		}
		m.settle(t)
	})
}

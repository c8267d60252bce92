package wstarget

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/pubsub"
)

// ticker publishes numbers on a topic at the hub, and knows the last.
type ticker struct {
	mu   sync.Mutex
	last int
}

func (k *ticker) tick(f *fanout, topic string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last++
	f.publish(topic, fmt.Sprint(k.last))
}

func (k *ticker) now() int { k.mu.Lock(); defer k.mu.Unlock(); return k.last }

// In every order of listening and leaving, with joins that take their time and fail: a listener misses nothing that
// was published after Listen returned, and when all has settled both ends agree on what is live.
func TestEndsAgree(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) { runModel(t, rand.New(rand.NewPCG(seed, 11))) })
		})
	}
}

func runModel(t *testing.T, rnd *rand.Rand) {
	p := newPair(t, rnd, true)
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
					tickers[topic].tick(p.fan, topic)
				}
			}
		}
	})
	for g := range 6 {
		own := rand.New(rand.NewPCG(uint64(g), rnd.Uint64()))
		users.Go(func() {
			for range 15 {
				topic := topics[own.IntN(len(topics))]
				use(t, p, topic, tickers[topic], own)
				<-time.After(time.Duration(own.IntN(15)) * time.Millisecond)
			}
		})
	}
	users.Wait()
	close(stop)
	wg.Wait()
	<-time.After(time.Hour) // all is settled
	for _, topic := range topics {
		p.target.mu.Lock()
		believed := p.target.topics[topic] != nil
		p.target.mu.Unlock()
		p.endpoint.mu.Lock()
		held := p.endpoint.topics[topic] != nil
		p.endpoint.mu.Unlock()
		if live := p.fan.live(topic, p.endpoint); believed || held || live {
			t.Errorf("nobody listens to %s: believed %v, held %v, live %v", topic, believed, held, live)
		}
	}
}

// use listens for a while and checks that the numbers it hears have no hole.
func use(t *testing.T, p *pair, topic string, k *ticker, rnd *rand.Rand) {
	var mu sync.Mutex
	var heard []int
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+rnd.IntN(60))*time.Millisecond)
	defer cancel()
	stop, err := p.target.Listen(ctx, topic, func(ev pubsub.Event) {
		var n int
		fmt.Sscan(string(ev.Payload), &n)
		mu.Lock()
		heard = append(heard, n)
		mu.Unlock()
	})
	if err != nil {
		return
	}
	next := k.now() + 1
	<-time.After(time.Duration(rnd.IntN(40)) * time.Millisecond)
	if rnd.IntN(2) == 0 {
		<-time.After(time.Second) // long enough for what was published meanwhile to have come
	}
	stop()
	stop()
	mu.Lock()
	defer mu.Unlock()
	due := next
	for _, n := range heard {
		if n < due {
			continue // from before Listen returned
		}
		if n != due {
			t.Errorf("%s: %d where %d is due", topic, n, due)
			return
		}
		due++
	}
}

// Everything that was published before a while ago has arrived at who still listens.
func TestListenerGetsAll(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		rnd := rand.New(rand.NewPCG(1, 1))
		p := newPair(t, rnd, false)
		for round := range 20 {
			var mu sync.Mutex
			n := 0
			stop, err := p.target.Listen(t.Context(), "a", func(pubsub.Event) { mu.Lock(); n++; mu.Unlock() })
			if err != nil {
				t.Fatal(err)
			}
			for i := range 10 {
				p.fan.publish("a", fmt.Sprint(i))
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
	})
}

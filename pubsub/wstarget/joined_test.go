package wstarget

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/pubsub"
)

var errJoin = errors.New("the backplane is away")

// fanout is a hub's one list of members, whose joins take their time.
type fanout struct {
	mu      sync.Mutex
	members map[string]map[*Endpoint]bool
	delay   func() time.Duration // nil: none
	fails   func() bool          // nil: never
	held    chan struct{}        // a Join waits for it; nil: does not
	joins   int
}

func (f *fanout) Join(ctx context.Context, topic string, e *Endpoint) error {
	if f.held != nil {
		select {
		case <-f.held:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if f.delay != nil {
		select {
		case <-time.After(f.delay()):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.joins++
	if f.fails != nil && f.fails() {
		return errJoin
	}
	if f.members == nil {
		f.members = map[string]map[*Endpoint]bool{}
	}
	if f.members[topic] == nil {
		f.members[topic] = map[*Endpoint]bool{}
	}
	f.members[topic][e] = true
	return nil
}

func (f *fanout) Leave(topic string, e *Endpoint) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.members[topic][e] {
		panic("Leave of what is no member")
	}
	delete(f.members[topic], e)
}

// publish gives an event to all members, under the lock as a list of members does.
func (f *fanout) publish(topic, payload string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for e := range f.members[topic] {
		e.Deliver(topic, []byte(payload))
	}
}

func (f *fanout) live(topic string, e *Endpoint) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.members[topic][e]
}

// pipe carries what is put in, in order, to one goroutine that takes its time.
type pipe struct {
	mu    sync.Mutex
	queue []func()
	wake  chan struct{}
	done  chan struct{}
	delay func() time.Duration // nil: none
}

func newPipe(t *testing.T, delay func() time.Duration) *pipe {
	p := &pipe{wake: make(chan struct{}, 1), done: make(chan struct{}), delay: delay}
	var wg sync.WaitGroup
	wg.Go(p.run)
	t.Cleanup(func() { close(p.done); wg.Wait() })
	return p
}

func (p *pipe) put(fn func()) {
	p.mu.Lock()
	p.queue = append(p.queue, fn)
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *pipe) run() {
	for {
		p.mu.Lock()
		var fn func()
		if len(p.queue) > 0 {
			fn, p.queue = p.queue[0], p.queue[1:]
		}
		p.mu.Unlock()
		if fn == nil {
			select {
			case <-p.wake:
				continue
			case <-p.done:
				return
			}
		}
		if p.delay != nil {
			<-time.After(p.delay())
		}
		fn()
	}
}

// pair is a target and an endpoint with a wire in memory between them.
type pair struct {
	target   *Target
	endpoint *Endpoint
	fan      *fanout
	up, down *pipe
}

// upward is the spoke's way out.
type upward struct{ *pair }

func (p upward) Control(frame []byte) error {
	m := parsed(frame)
	p.up.put(func() { p.endpoint.Control(m) })
	return nil
}

func (p upward) Event(_ context.Context, topic string, payload []byte) error {
	payload = append([]byte(nil), payload...)
	p.up.put(func() { p.endpoint.Published(topic, payload) })
	return nil
}

// downward is the hub's way out.
type downward struct{ *pair }

func (p downward) Control(frame []byte) {
	m := parsed(frame)
	p.down.put(func() { p.target.Control(m) })
}

func (p downward) Event(topic string, frame []byte) {
	p.down.put(func() { p.target.Event(topic, frame) })
}

func (p downward) Gap(topic string, dropped int) { p.Control(wire.AppendGap(nil, topic, dropped)) }

// newPair joins both ends. rnd, if not nil, makes everything take random times.
func newPair(t *testing.T, rnd *rand.Rand, fails bool) *pair {
	t.Helper()
	p := &pair{fan: &fanout{}}
	var delay func() time.Duration
	if rnd != nil {
		var mu sync.Mutex
		own := rand.New(rand.NewPCG(rnd.Uint64(), 0))
		number := func(n int) int { mu.Lock(); defer mu.Unlock(); return own.IntN(n) }
		delay = func() time.Duration { return time.Duration(number(3)) * time.Millisecond }
		p.fan.delay = func() time.Duration { return time.Duration(number(20)) * time.Millisecond }
		p.fan.fails = func() bool { return fails && number(6) == 0 }
	}
	p.up, p.down = newPipe(t, delay), newPipe(t, delay)
	p.target = New(upward{p})
	p.endpoint = NewEndpoint(EndpointOptions{Fanout: p.fan, Outlet: downward{p},
		Publish: func(ev pubsub.Event) *Denial { p.fan.publish(ev.Topic, string(ev.Payload)); return nil }})
	t.Cleanup(func() { p.target.Close(nil); p.endpoint.Close() })
	return p
}

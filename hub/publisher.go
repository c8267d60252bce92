package hub

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/alkdev/hubspoke/pubsub"
)

// publisher publishes in order without making a connection's reader wait. On a
// core in memory, which never waits, it is a direct call; otherwise events queue, bounded in bytes, and
// over that they are refused.
type publisher struct {
	core   pubsub.EventTarget
	direct *pubsub.Local   // the core, if it is one
	async  AsyncDispatcher // what the core offers, or nil
	wg     sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	queue   []publication
	bytes   int
	running bool
}

type publication struct {
	ev     pubsub.Event
	failed func(error)
}

const (
	publisherBytes   = 8 << 20
	publisherTimeout = 10 * time.Second
)

var errPublisherFull = fmt.Errorf("too many events wait to be published: limit %d MiB", publisherBytes>>20)

func newPublisher(core pubsub.EventTarget) *publisher {
	local, _ := core.(*pubsub.Local)
	async, _ := core.(AsyncDispatcher)
	return &publisher{core: core, direct: local, async: async}
}

func (p *publisher) publish(ev pubsub.Event, failed func(error)) {
	if p.direct != nil {
		if err := p.direct.Deliver(ev); err != nil && failed != nil {
			failed(err)
		}
		return
	}
	if p.async != nil {
		p.async.DispatchAsync(ev, func(err error) {
			if err != nil && failed != nil {
				failed(err)
			}
		})
		return
	}
	p.mu.Lock()
	full := p.bytes+len(ev.Payload) > publisherBytes && p.bytes > 0
	if !full {
		p.queue = append(p.queue, publication{ev, failed})
		p.bytes += len(ev.Payload) + len(ev.Topic)
		if !p.running {
			p.running = true
			p.wg.Go(p.run)
		}
	}
	p.mu.Unlock()
	if full && failed != nil {
		failed(errPublisherFull)
	}
}

// run lives only while there is something to publish.
func (p *publisher) run() {
	for {
		p.mu.Lock()
		if len(p.queue) == 0 {
			p.running, p.queue = false, nil
			p.mu.Unlock()
			return
		}
		next := p.queue[0]
		p.queue[0] = publication{}
		p.queue = p.queue[1:]
		p.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), publisherTimeout)
		err := p.core.Dispatch(ctx, next.ev)
		cancel()
		if err != nil && next.failed != nil {
			next.failed(err)
		}
		p.mu.Lock()
		p.bytes -= len(next.ev.Payload) + len(next.ev.Topic)
		p.mu.Unlock()
	}
}

func (p *publisher) wait() { p.wg.Wait() }

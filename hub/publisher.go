package hub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alkdev/hubspoke/internal/drainer"
	"github.com/alkdev/hubspoke/pubsub"
)

// publisher publishes in order without making a connection's reader wait. If the core never waits, it is called
// directly; otherwise events wait in a queue that is bounded in bytes, and refuses what is beyond.
type publisher struct {
	ctx    context.Context // ends when the hub ends what is left
	core   pubsub.EventTarget
	direct *pubsub.Local   // the core, if it is one
	async  AsyncDispatcher // what the core offers, or nil
	queue  *drainer.Queue[publication]
}

// publication is an event that waits to be published.
type publication struct {
	ev     pubsub.Event
	failed func(error)
}

const (
	publisherBytes   = 8 << 20
	publisherTimeout = 10 * time.Second
)

var errPublisherFull = fmt.Errorf("too many events wait to be published: limit %d MiB", publisherBytes>>20)

func newPublisher(ctx context.Context, core pubsub.EventTarget) *publisher {
	p := &publisher{ctx: ctx, core: core}
	p.direct, _ = core.(*pubsub.Local)
	p.async, _ = core.(AsyncDispatcher)
	p.queue = drainer.New(p, drainer.Options{Limit: publisherBytes})
	return p
}

// publish publishes the event. It calls failed, on any goroutine, if that fails.
func (p *publisher) publish(ev pubsub.Event, failed func(error)) {
	var err error
	switch {
	case p.direct != nil:
		err = p.direct.Deliver(ev)
	case p.async != nil:
		p.async.DispatchAsync(ev, func(err error) {
			if err != nil {
				failed(err)
			}
		})
	default:
		err = p.queue.TryAdd(publication{ev, failed}, len(ev.Payload)+len(ev.Topic))
	}
	switch {
	case errors.Is(err, drainer.ErrFull):
		failed(errPublisherFull)
	case errors.Is(err, drainer.ErrClosed):
		failed(pubsub.ErrClosed)
	case err != nil:
		failed(err)
	}
}

// Handle implements [drainer.Handler].
func (p *publisher) Handle(next []publication) {
	for _, n := range next {
		ctx, cancel := context.WithTimeout(p.ctx, publisherTimeout)
		err := p.core.Dispatch(ctx, n.ev)
		cancel()
		if err != nil {
			n.failed(err)
		}
	}
}

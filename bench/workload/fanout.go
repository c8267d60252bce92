package workload

import (
	"context"
	"errors"
	"time"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/process"
)

// burstsOnTheirWay is how many bursts may be published that not everybody has got.
const burstsOnTheirWay = 2

// deliveryLimit is how long nobody may get anything before a message counts as lost.
const deliveryLimit = 20 * time.Second

// FanOut is W3: a server publishes to Params.Connections subscribers. With a Params.Burst of 0 or 1 each message is
// published after all subscribers have got the one before; with more, bursts of that many follow each other with at
// most two on their way. Every delivery is checked, its bytes and its place. The figures are for one delivery.
func FanOut(ctx context.Context, c contender.Contender, s contender.Setup, p Params) (Result, error) {
	s.Publish = true
	server, s, err := serve(ctx, c, s)
	if err != nil {
		return nil, err
	}
	r, err := fanOut(ctx, server, c, s, p)
	return r, errors.Join(err, server.Close())
}

func fanOut(ctx context.Context, server *process.Server, c contender.Contender, s contender.Setup, p Params) (Result, error) {
	f := newFan(server.Publish, p)
	conns, err := dialAll(ctx, c, s, p.Connections, f.subscriber)
	if err != nil {
		return nil, err
	}
	r, err := f.measure(ctx, server, p)
	return r, errors.Join(err, closeAll(conns))
}

// measure publishes for a while, first to warm up.
func (f *fan) measure(ctx context.Context, server *process.Server, p Params) (Result, error) {
	if err := f.publishFor(ctx, p.Duration/5); err != nil {
		return nil, err
	}
	before, err := server.Stats()
	if err != nil {
		return nil, err
	}
	first, start := f.next, time.Now()
	if err := f.publishFor(ctx, p.Duration); err != nil {
		return nil, err
	}
	elapsed, deliveries := time.Since(start), float64(f.next-first)*float64(p.Connections)
	after, err := server.Stats()
	if err != nil {
		return nil, err
	}
	// A message that came once too often is seen by the next one's place, so there has to be a next one.
	if err := f.publish(ctx, 1); err != nil {
		return nil, err
	}
	if err := f.wait(ctx, f.next); err != nil {
		return nil, err
	}
	r := costs(after.Since(before.Usage), deliveries)
	r[Rate] = deliveries / elapsed.Seconds()
	return r, nil
}

// publishFor publishes at least once, and until the time is over, and waits until everybody has got everything.
func (f *fan) publishFor(ctx context.Context, d time.Duration) error {
	end := time.Now().Add(d)
	for {
		if err := f.publish(ctx, f.burst); err != nil {
			return err
		}
		if !time.Now().Before(end) {
			return f.wait(ctx, f.next)
		}
	}
}

// publish publishes messages in a row as soon as few enough are on their way.
func (f *fan) publish(ctx context.Context, messages int) error {
	way := uint64(f.burst)
	if f.burst > 1 {
		way *= burstsOnTheirWay
	}
	if sum := f.next + uint64(messages); sum > way {
		if err := f.wait(ctx, sum-way); err != nil {
			return err
		}
	}
	if err := f.send(f.next, messages, f.size); err != nil {
		return err
	}
	f.next += uint64(messages)
	return nil
}

// wait waits until everybody has got the first n messages.
func (f *fan) wait(ctx context.Context, n uint64) error {
	limit := time.NewTimer(f.limit)
	defer limit.Stop()
	for f.complete < n {
		select {
		case <-f.got:
			f.complete++
			limit.Reset(f.limit)
		case err := <-f.wrong:
			return err
		case <-limit.C:
			return f.missing()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	// What was wrong may have come right before that which completed the last message.
	select {
	case err := <-f.wrong:
		return err
	default:
		return nil
	}
}

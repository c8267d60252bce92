package workload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/measure"
	"github.com/alkdev/hubspoke/bench/process"
)

// Figures of Mixed. The requirement is MixedP99 <= P99 + BigAlone. Since a big call is rare, MixedDuring says more.
const (
	// MixedP99 is the p99 of the small calls while big ones go over the same connection, MixedMax the longest of
	// them, and P99 (of the same run) the one without.
	MixedP99 = "p99 us beside 1 MiB"
	MixedMax = "max us beside 1 MiB"
	// MixedDuring is the p99 of only those small calls that ran while a big one did: about one of them for each big one
	// waits behind its bytes.
	MixedDuring = "p99 us during 1 MiB"
	// BigAlone is how long a big call takes with nothing beside it, the time that its bytes take.
	BigAlone = "1 MiB alone us"
)

const (
	// bigMessage leaves room for the envelope in a message of 1 MiB, the most that hubspoke takes by default.
	bigMessage = 1<<20 - 512
	// bigEvery is how often a big call starts.
	bigEvery = 100 * time.Millisecond
	// bigCalls are made alone to see how long one takes.
	bigCalls = 20
)

// Mixed measures small calls, one at a time, on a connection that every 100 ms carries a call of 1 MiB too.
func Mixed(ctx context.Context, c contender.Contender, s contender.Setup, p Params) (Result, error) {
	if c.Call == nil {
		return nil, fmt.Errorf("workload: %s does not call", c.Name)
	}
	caller, err := c.Call(s)
	if err != nil {
		return nil, err
	}
	r, err := mixed(ctx, caller, p)
	return r, errors.Join(err, caller.Close())
}

func mixed(ctx context.Context, caller contender.Caller, p Params) (Result, error) {
	if _, err := smallCalls(ctx, caller, p.Bytes, time.Now().Add(p.Duration/5)); err != nil {
		return nil, err
	}
	alone, err := bigAlone(ctx, caller)
	if err != nil {
		return nil, err
	}
	without, err := smallCalls(ctx, caller, p.Bytes, time.Now().Add(p.Duration))
	if err != nil {
		return nil, err
	}
	beside, during, err := smallBesideBig(ctx, caller, p)
	if err != nil {
		return nil, err
	}
	if len(without) == 0 || len(during) == 0 {
		return nil, fmt.Errorf("workload: %v is too short for small calls beside big ones", p.Duration)
	}
	before, after := lengths(without), lengths(beside)
	return Result{
		P50: micros(before.Percentile(50)), P99: micros(before.Percentile(99)),
		MixedP99: micros(after.Percentile(99)), MixedMax: micros(after[len(after)-1]),
		MixedDuring: micros(lengths(during).Percentile(99)),
		BigAlone:    micros(alone),
	}, nil
}

// bigAlone is the median of big calls, after one that warms up.
func bigAlone(ctx context.Context, caller contender.Caller) (time.Duration, error) {
	var took []span
	for i := range uint64(bigCalls + 1) {
		s, err := echo(ctx, caller, process.Payload(nil, i, bigMessage))
		if err != nil {
			return 0, err
		}
		if i > 0 {
			took = append(took, s)
		}
	}
	return lengths(took).Percentile(50), nil
}

// smallBesideBig makes both kinds of calls for a while and gives the small ones, and those of them that ran
// at a time when a big one did.
func smallBesideBig(ctx context.Context, caller contender.Caller, p Params) (all, during []span, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	end := time.Now().Add(p.Duration)
	var big []span
	done := make(chan struct{})
	go func() {
		defer close(done)
		var err error
		if big, err = bigEachTick(ctx, caller, end); err != nil {
			cancel(err)
		}
	}()
	all, err = smallCalls(ctx, caller, p.Bytes, end)
	if err != nil {
		cancel(err)
	}
	<-done
	if err := context.Cause(ctx); err != nil {
		return nil, nil, err
	}
	return all, overlapping(all, big), nil
}

// bigEachTick makes a big call at each tick until the end, which it may pass by one call.
func bigEachTick(ctx context.Context, caller contender.Caller, end time.Time) ([]span, error) {
	tick := time.NewTicker(bigEvery)
	defer tick.Stop()
	over := time.NewTimer(time.Until(end))
	defer over.Stop()
	var all []span
	for n := uint64(0); ; n++ {
		payload := process.Payload(nil, n, bigMessage)
		select {
		case <-tick.C:
		case <-over.C:
			return all, nil
		case <-ctx.Done():
			return all, nil
		}
		s, err := echo(ctx, caller, payload)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
}

// smallCalls makes one call after the other until the end.
func smallCalls(ctx context.Context, caller contender.Caller, size int, end time.Time) ([]span, error) {
	var all []span
	var payload []byte
	for n := uint64(0); time.Now().Before(end); n++ {
		payload = process.Payload(payload[:0], n, size)
		s, err := echo(ctx, caller, payload)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// echo makes one call and checks its reply.
func echo(ctx context.Context, caller contender.Caller, payload []byte) (span, error) {
	start := time.Now()
	reply, err := caller.Call(ctx, payload)
	s := span{start, time.Since(start)}
	if err != nil {
		return s, err
	}
	if !bytes.Equal(reply, payload) {
		return s, fmt.Errorf("workload: the reply to %.200q is %.200q", payload, reply)
	}
	return s, nil
}

// span is when a call ran.
type span struct {
	start time.Time
	took  time.Duration
}

// overlapping gives those of small that ran at the time of one of big. Both are in the order of time.
func overlapping(small, big []span) []span {
	var found []span
	for _, s := range small {
		for len(big) > 0 && big[0].start.Add(big[0].took).Before(s.start) {
			big = big[1:]
		}
		if len(big) > 0 && big[0].start.Before(s.start.Add(s.took)) {
			found = append(found, s)
		}
	}
	return found
}

// lengths are how long calls took, sorted.
func lengths(spans []span) measure.Sorted {
	all := make(measure.Sorted, 0, len(spans))
	for _, s := range spans {
		all = append(all, s.took)
	}
	slices.Sort(all)
	return all
}

package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alkdev/hubspoke/bench/measure"
)

// expected is how many latencies each of the workers has room for before it needs more.
const expected = 1024

// errRun says that a CallRun has nothing to do.
var errRun = errors.New("a run of calls needs clients and calls in flight")

// callFunc is contender.Server.Call.
type callFunc func(ctx context.Context, i int, payload []byte) ([]byte, error)

// runCalls makes the calls of a run. The first call that fails or has a wrong reply ends and voids it, and so does the
// end of ctx; calls that then wait for a reply are left to the end of the process.
func runCalls(ctx context.Context, call callFunc, run CallRun) (CallFigures, error) {
	if run.Clients < 1 || run.InFlight < 1 {
		return CallFigures{}, errRun
	}
	r := &callRun{CallRun: run, call: call}
	ctx, r.fail = context.WithCancelCause(ctx)
	defer r.fail(nil)
	latencies := make([]*measure.Latencies, run.InFlight)
	for i := range latencies {
		latencies[i] = measure.NewLatencies(expected)
	}
	before := measure.Take()
	r.until = before.At.Add(run.Duration)
	var wg sync.WaitGroup
	for _, l := range latencies {
		wg.Go(func() { r.work(ctx, l) })
	}
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	used := measure.Take().Since(before)
	if err := context.Cause(ctx); err != nil {
		return CallFigures{}, err
	}
	all := measure.Merge(latencies)
	return CallFigures{
		Calls: len(all), Elapsed: used.Elapsed, P50: all.Percentile(50), P99: all.Percentile(99), Used: used,
	}, nil
}

// callRun is what the calls of a run share.
type callRun struct {
	CallRun
	call  callFunc
	until time.Time
	next  atomic.Uint64
	fail  context.CancelCauseFunc
}

// work makes one call after the other until the time is over. Every call has a number of its own, so that a reply to
// another one is seen. It has a context without an end: a contender that watches it would pay for that in each call.
func (r *callRun) work(ctx context.Context, took *measure.Latencies) {
	payload := make([]byte, 0, r.Bytes)
	for start := time.Now(); r.goesOn(start) && ctx.Err() == nil; {
		n := r.next.Add(1) - 1
		payload = Payload(payload[:0], n, r.Bytes)
		reply, err := r.call(context.Background(), int(n%uint64(r.Clients)), payload)
		end := time.Now()
		switch {
		case err != nil:
			r.fail(fmt.Errorf("call %d: %w", n, err))
			return
		case !bytes.Equal(reply, payload):
			r.fail(fmt.Errorf("call %d: the reply is %.200q", n, reply))
			return
		}
		took.Add(end.Sub(start))
		start = end
	}
}

// goesOn says whether another call is to be made.
func (r *callRun) goesOn(now time.Time) bool {
	return now.Before(r.until) || r.next.Load() < uint64(r.AtLeast)
}

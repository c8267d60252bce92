package workload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/measure"
	"github.com/alkdev/hubspoke/bench/process"
)

// errUnsupported says that a contender has no such function.
var errUnsupported = errors.New("workload: the contender cannot do this")

// Call is W1: one connection, and the server side calls the client.
func Call(ctx context.Context, c contender.Contender, s contender.Setup, p Params) (Result, error) {
	return calls(ctx, c.Call, s, p)
}

// Route is W2: caller, router, callee.
func Route(ctx context.Context, c contender.Contender, s contender.Setup, p Params) (Result, error) {
	return calls(ctx, c.Route, s, p)
}

// Across is W5: two nodes and Redis between them. What Redis itself uses is in no figure but its count of commands.
func Across(ctx context.Context, c contender.Contender, s contender.Setup, p Params) (Result, error) {
	return calls(ctx, c.Across, s, p)
}

func calls(ctx context.Context, connect func(contender.Setup) (contender.Caller, error), s contender.Setup, p Params) (Result, error) {
	if connect == nil {
		return nil, errUnsupported
	}
	caller, err := connect(s)
	if err != nil {
		return nil, err
	}
	run := newCallRun(caller, p)
	r, err := run.measure(ctx, s.Redis)
	return r, errors.Join(err, caller.Close())
}

// callRun makes calls from several workers at a time.
type callRun struct {
	caller  contender.Caller
	workers []*callWorker
	params  Params

	stop   atomic.Bool
	mu     sync.Mutex // guards failed
	failed error
}

// callWorker makes one call after the other. Its payload is its own, and no two calls of a run have the same.
type callWorker struct {
	next    uint64
	payload []byte
	took    *measure.Latencies
}

func newCallRun(caller contender.Caller, p Params) *callRun {
	r := &callRun{caller: caller, params: p}
	for i := range max(p.InFlight, 1) {
		w := &callWorker{next: uint64(i) * 1e12, payload: make([]byte, 0, p.Bytes)}
		r.workers = append(r.workers, w)
	}
	return r
}

// measure warms up, collects garbage once, and measures.
func (r *callRun) measure(ctx context.Context, redis string) (Result, error) {
	warmUp := r.params.Duration / 5
	r.expect(0)
	if err := r.phase(ctx, warmUp); err != nil {
		return nil, err
	}
	r.expect(int(float64(r.count()) * float64(r.params.Duration) / float64(warmUp)))
	runtime.GC()
	commands, err := redisCommands(ctx, redis)
	if err != nil {
		return nil, err
	}
	before := measure.Take()
	if err := r.phase(ctx, r.params.Duration); err != nil {
		return nil, err
	}
	used := measure.Take().Since(before)
	after, err := redisCommands(ctx, redis)
	if err != nil {
		return nil, err
	}
	result := r.figures(used)
	if redis != "" {
		result[Redis] = float64(after-commands) / float64(r.count())
	}
	return result, nil
}

// expect makes room for the latencies of n calls, and for more: the warm-up may have been slow to start.
func (r *callRun) expect(n int) {
	for _, w := range r.workers {
		w.took = measure.NewLatencies(2*n/len(r.workers) + 1024)
	}
}

func redisCommands(ctx context.Context, redis string) (int64, error) {
	if redis == "" {
		return 0, nil
	}
	return measure.RedisCommands(ctx, redis)
}

func (r *callRun) count() int {
	n := 0
	for _, w := range r.workers {
		n += w.took.Count()
	}
	return n
}

// phase lets all workers work for d. When ctx ends first it returns without those that wait for a reply: the
// caller is then closed, which ends their calls.
func (r *callRun) phase(ctx context.Context, d time.Duration) error {
	r.stop.Store(false)
	timer := time.AfterFunc(d, func() { r.stop.Store(true) })
	defer timer.Stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		var wg sync.WaitGroup
		for _, w := range r.workers {
			wg.Go(func() { r.work(w) })
		}
		wg.Wait()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		r.stop.Store(true)
		return context.Cause(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == nil && r.count() == 0 {
		return errors.New("workload: not one call ended in time")
	}
	return r.failed
}

// work calls with a context that has no end: with one, every call of those contenders that watch it would pay for it.
func (r *callRun) work(w *callWorker) {
	ctx := context.Background()
	for !r.stop.Load() {
		w.payload = process.Payload(w.payload[:0], w.next, r.params.Bytes)
		start := time.Now()
		reply, err := r.caller.Call(ctx, w.payload)
		took := time.Since(start)
		if err == nil && !bytes.Equal(reply, w.payload) {
			err = fmt.Errorf("the reply is %.200q", reply)
		}
		if err != nil {
			r.fail(fmt.Errorf("workload: call %d: %w", w.next, err))
			return
		}
		w.took.Add(took)
		w.next++
	}
}

// fail ends the run; the first failure is told.
func (r *callRun) fail(err error) {
	r.stop.Store(true)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == nil {
		r.failed = err
	}
}

func (r *callRun) figures(used measure.Usage) Result {
	all := make([]*measure.Latencies, 0, len(r.workers))
	for _, w := range r.workers {
		all = append(all, w.took)
	}
	sorted := measure.Merge(all)
	n := float64(len(sorted))
	result := Result{
		P50:     micros(sorted.Percentile(50)),
		P99:     micros(sorted.Percentile(99)),
		Rate:    n / used.Elapsed.Seconds(),
		Mallocs: float64(used.Mallocs) / n,
	}
	if used.HasCPU {
		result[CPU] = micros(used.CPU) / n
	}
	if used.HasRW {
		result[RWCalls] = float64(used.RWCalls) / n
	}
	return result
}

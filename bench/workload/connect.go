package workload

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/measure"
	"github.com/alkdev/hubspoke/bench/process"
)

// dialers is how many goroutines dial at a time.
const dialers = 128

// warmUpClients connect and leave before what is measured, so that the code has run once and pools are filled.
const warmUpClients = 50

// Connect is W6: clients dial and register from 128 goroutines until all are usable.
func Connect(ctx context.Context, c contender.Contender, s contender.Setup, p Params) (Result, error) {
	server, s, err := serveWarm(ctx, c, s)
	if err != nil {
		return nil, err
	}
	r, err := connect(ctx, server, c, s, p)
	return r, errors.Join(err, server.Close())
}

func connect(ctx context.Context, server *process.Server, c contender.Contender, s contender.Setup, p Params) (Result, error) {
	if _, err := settled(ctx, server); err != nil {
		return nil, err
	}
	before, err := server.Stats()
	if err != nil {
		return nil, err
	}
	own := measure.Take()
	conns, err := dialAll(ctx, c, s, p.Connections, nil)
	if err != nil {
		return nil, err
	}
	own = measure.Take().Since(own)
	after, err := server.Stats()
	if err != nil {
		return nil, errors.Join(err, closeAll(conns))
	}
	n := float64(p.Connections)
	r := costs(after.Since(before.Usage), n)
	r[Usable] = own.Elapsed.Seconds()
	if own.HasCPU {
		r[ClientCPU] = micros(own.CPU) / n
	}
	return r, closeAll(conns)
}

// costs are what was used, for each of n. What the system does not tell is left out.
func costs(used measure.Usage, n float64) Result {
	r := Result{Mallocs: float64(used.Mallocs) / n}
	if used.HasCPU {
		r[CPU] = micros(used.CPU) / n
	}
	if used.HasRW {
		r[RWCalls] = float64(used.RWCalls) / n
	}
	return r
}

// serve starts the contender's server in a process of its own and completes the setup of those who dial it.
func serve(ctx context.Context, c contender.Contender, s contender.Setup) (*process.Server, contender.Setup, error) {
	if c.Serve == nil || c.Dial == nil {
		return nil, s, fmt.Errorf("workload: %s does not serve and dial", c.Name)
	}
	server, err := process.Start(ctx, c.Name, s)
	if err != nil {
		return nil, s, err
	}
	s.Addr = server.Addr()
	return server, s, nil
}

// serveWarm is serve after a few clients that came and went.
func serveWarm(ctx context.Context, c contender.Contender, s contender.Setup) (*process.Server, contender.Setup, error) {
	server, s, err := serve(ctx, c, s)
	if err != nil {
		return nil, s, err
	}
	conns, err := dialAll(ctx, c, s, warmUpClients, nil)
	if err == nil {
		err = closeAll(conns)
	}
	if err != nil {
		return nil, s, errors.Join(err, server.Close())
	}
	return server, s, nil
}

// dialAll connects n clients. deliver gives what each of them is to do with a published message; nil is nothing. On an
// error none is left.
func dialAll(ctx context.Context, c contender.Contender, s contender.Setup, n int, deliver func(i int) func([]byte)) ([]contender.Connection, error) {
	if deliver == nil {
		deliver = func(int) func([]byte) { return func([]byte) {} }
	}
	conns := make([]contender.Connection, n)
	dialCtx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	each(n, func(i int) {
		if dialCtx.Err() != nil {
			return
		}
		conn, err := c.Dial(dialCtx, s, contender.Client{Number: i, Deliver: deliver(i)})
		if err != nil {
			fail(fmt.Errorf("workload: client %d: %w", i, err))
			return
		}
		conns[i] = conn
	})
	if err := context.Cause(dialCtx); err != nil {
		return nil, errors.Join(err, closeAll(conns))
	}
	return conns, nil
}

// closeAll closes those that are connected.
func closeAll(conns []contender.Connection) error {
	errs := make([]error, len(conns))
	each(len(conns), func(i int) {
		if conns[i] != nil {
			errs[i] = conns[i].Close()
		}
	})
	return errors.Join(errs...)
}

// each calls do for 0 to n-1 from as many goroutines as there are dialers, and waits.
func each(n int, do func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, dialers) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	wg.Wait()
}

// micros is a duration in microseconds.
func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

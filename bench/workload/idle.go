package workload

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/process"
)

// Idle is W4: what a server holds for each client that is connected and registered and does nothing. Each process has a
// file for each client; the Go runtime raises its soft limit of open files to the hard one by itself, in both.
func Idle(ctx context.Context, c contender.Contender, s contender.Setup, p Params) (Result, error) {
	return withClients(ctx, c, s, p, func(_ *process.Server, before, connected process.Stats) (Result, error) {
		return held(before, connected, p.Connections), nil
	})
}

// withClients measures a server with all its clients connected; before is what it held without them.
func withClients(ctx context.Context, c contender.Contender, s contender.Setup, p Params,
	measure func(server *process.Server, before, connected process.Stats) (Result, error),
) (r Result, err error) {
	server, s, err := serveWarm(ctx, c, s)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	before, err := settled(ctx, server)
	if err != nil {
		return nil, err
	}
	conns, err := dialAll(ctx, c, s, p.Connections, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeAll(conns)) }()
	connected, err := settled(ctx, server)
	if err != nil {
		return nil, err
	}
	return measure(server, before, connected)
}

// held is what came to be held for each of n connections.
func held(before, after process.Stats, n int) Result {
	r := Result{Goroutines: float64(after.Goroutines-before.Goroutines) / float64(n)}
	if before.HasRSS && after.HasRSS {
		r[RSS] = float64(after.RSS-before.RSS) / 1024 / float64(n)
	}
	return r
}

// A server has settled when a number of looks at it in a row, each after a garbage collection, show the same goroutines
// and a resident set that is the same within a half percent.
const (
	settleLooks = 4
	settleEvery = 250 * time.Millisecond
	settleLimit = 2 * time.Minute
)

// settled waits until a server has settled and returns the last look. Clients that have left are gone by then, and
// buffers that were needed only for connecting are freed.
func settled(ctx context.Context, server *process.Server) (process.Stats, error) {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	look := time.NewTicker(settleEvery)
	defer look.Stop()
	last, err := server.Collected()
	if err != nil {
		return last, err
	}
	for same := 1; same < settleLooks; {
		select {
		case <-look.C:
		case <-ctx.Done():
			return last, fmt.Errorf("workload: the server's memory does not settle: %w", context.Cause(ctx))
		}
		now, err := server.Collected()
		if err != nil {
			return last, err
		}
		same++
		if now.Goroutines != last.Goroutines || differ(now.RSS, last.RSS) {
			same = 1
		}
		last = now
	}
	return last, nil
}

// differ says whether two sizes are more than a half percent apart.
func differ(a, b int64) bool { return max(a, b)-min(a, b) > b/200 }

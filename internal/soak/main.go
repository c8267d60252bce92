// Command soak runs a hub, spokes, a proxy that cuts and stalls their connections, and load in both
// directions together, and watches over what must hold whatever happens to a connection. It prints each
// invariant with how often it was seen to hold, and ends with 1 at the first that is broken. Beside them,
// large values cross slow links without faults, over TCP and over TLS.
//
//	go run -race ./internal/soak -duration 60s -spokes 20 -faults 20
//
// The seed of the faults is printed and can be given; the scheduling of goroutines it does not decide.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/hub"
)

// options are the flags.
type options struct {
	duration time.Duration
	spokes   int
	faults   float64 // a second
	seed     uint64
	heap     int // MiB
	limit    time.Duration
	log      zerolog.Logger
}

// endTime is how long everything may take to come to rest when the load has stopped.
const endTime = 2 * time.Minute

func main() {
	var o options
	flag.DurationVar(&o.duration, "duration", time.Minute, "how long the load runs")
	flag.IntVar(&o.spokes, "spokes", 20, "how many spokes, at least 2")
	flag.Float64Var(&o.faults, "faults", 20, "faults a second, over all connections; 0 is none")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "seed of the faults")
	flag.IntVar(&o.heap, "heap", 512, "MiB that the heap may reach")
	flag.DurationVar(&o.limit, "limit", callTime, "limit of each call; more than one fault a second for each spoke needs a higher one")
	verbose := flag.Bool("log", false, "write the logs of hub and spokes to standard error")
	flag.Parse()
	o.log = zerolog.Nop()
	if *verbose {
		o.log = zerolog.New(os.Stderr).With().Timestamp().Logger()
	}
	if o.spokes < 2 || o.faults < 0 || o.duration <= 0 || o.limit <= 0 {
		fmt.Fprintln(os.Stderr, "soak: at least 2 spokes, no negative faults, a duration and a limit")
		os.Exit(2)
	}
	fmt.Printf("soak: %v, %d spokes, %v faults a second, seed %d\n", o.duration, o.spokes, o.faults, o.seed)
	l := newLedger()
	go l.failFast()
	if err := soak(&o, l); err != nil {
		l.broken("the run itself", "%v", err)
	}
	l.print(os.Stdout)
}

// soak runs everything and comes to rest.
func soak(o *options, l *ledger) error {
	before := runtime.NumGoroutine()
	h, err := hub.New(&hub.Options{AllowAnonymous: true, SessionWindow: endTime, DrainSpread: time.Millisecond, Logger: &o.log})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: endTime}
	go func() { _ = server.Serve(listener) }() // ends with the Close below
	p, err := newProxy(listener.Addr().String(), o.seed, 0)
	if err != nil {
		return err
	}
	f, err := startFleet(o, l, h, "ws://"+p.addr())
	if err != nil {
		return err
	}
	load, stop := context.WithTimeout(context.Background(), o.duration)
	defer stop()
	faults := p.start(load, o.faults)
	watch := make(chan struct{})
	go func() { defer close(watch); l.watchHeap(load, o.heap) }()
	var slow sync.WaitGroup
	for _, secure := range []bool{false, true} {
		slow.Go(func() {
			if err := slowLink(load, o, l, secure); err != nil {
				l.broken("the run itself", "%v", err)
			}
		})
	}
	f.run(load)
	slow.Wait()
	<-faults
	<-watch
	p.heal()
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	f.settle(ctx)
	f.leave(ctx)
	if err := h.Shutdown(ctx); err != nil {
		l.broken("the hub ends in order", "%v", err)
	}
	l.held("the hub ends in order")
	_ = server.Close()
	p.close()
	l.wantGoroutines(ctx, before)
	l.note("cuts %d, stalls %d, connections %d, sessions resumed %d", p.cuts.Load(), p.stalls.Load(), p.accepted.Load(), h.Stats().Resumed)
	return nil
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/pprof"
	"time"

	"github.com/alkdev/hubspoke/bench/loopback"
	"github.com/alkdev/hubspoke/bench/workload"
)

// runWorker makes one measurement and prints its figures.
func runWorker(ctx context.Context, args []string) (err error) {
	f := flag.NewFlagSet("bench worker", flag.ContinueOnError)
	workloadName := f.String("workload", "", "name of the workload, such as W1")
	pointName := f.String("point", "", "name of the point, such as '128 B x64'")
	rowName := f.String("row", "", "name of the row, such as hubspoke")
	quick := f.Bool("quick", false, "measure what a quick run does")
	duration := f.Duration("duration", 0, "how long to measure; 0 is what the point says")
	cpuProfile := f.String("cpuprofile", "", "file for a CPU profile of this process, which is the clients where there are two")
	memProfile := f.String("memprofile", "", "file for a profile of all allocations, likewise")
	serverProfile := f.String("servercpuprofile", "", "file for a CPU profile of the process that serves, where there are two")
	if err := f.Parse(args); err != nil {
		return err
	}
	b, r, params, err := find(*workloadName, *pointName, *rowName, *quick)
	if err != nil {
		return err
	}
	if *duration > 0 {
		params.Duration = *duration
	}
	if *serverProfile != "" {
		if err := os.Setenv(serverProfileVariable, *serverProfile); err != nil {
			return err
		}
	}
	stop, err := startProfile(*cpuProfile)
	if err != nil {
		return err
	}
	result, err := measured(ctx, b, r, params)
	err = errors.Join(err, stop(), writeAllocations(*memProfile))
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

func measured(ctx context.Context, b benchmark, r row, p workload.Params) (workload.Result, error) {
	setup := r.setup
	if b.redis {
		if setup.Redis = os.Getenv(redisVariable); setup.Redis == "" {
			return nil, fmt.Errorf("%s needs a Redis: set %s", b.name, redisVariable)
		}
	}
	if setup.TLS {
		var err error
		if setup.CertPEM, setup.KeyPEM, err = loopback.Certificate(); err != nil {
			return nil, err
		}
	}
	return b.run(ctx, r.contender, setup, p)
}

// startProfile profiles until it is stopped; without a file it does nothing.
func startProfile(name string) (stop func() error, err error) {
	if name == "" {
		return func() error { return nil }, nil
	}
	file, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return file.Close()
	}, nil
}

func writeAllocations(name string) error {
	if name == "" {
		return nil
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("allocs").WriteTo(file, 0), file.Close())
}

// workerTime bounds one measurement with all that it takes to connect, above the time that it measures.
const workerTime = 3 * time.Minute

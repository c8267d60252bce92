package main

import (
	"errors"
	"os"

	"github.com/alkdev/hubspoke/bench/contender"
)

// serverProfileVariable tells the process that serves where to write a profile.
const serverProfileVariable = "HUBSPOKE_BENCH_SERVER_CPUPROFILE"

// findServer gives a contender to the process that serves.
func findServer(name string) (contender.Contender, bool) {
	c, found := findContender(name)
	file := os.Getenv(serverProfileVariable)
	if !found || c.Serve == nil || file == "" {
		return c, found
	}
	serve := c.Serve
	c.Serve = func(s contender.Setup) (contender.Server, error) {
		stop, err := startProfile(file)
		if err != nil {
			return nil, err
		}
		server, err := serve(s)
		if err != nil {
			return nil, errors.Join(err, stop())
		}
		return &profiled{Server: server, stop: stop}, nil
	}
	return c, true
}

// profiled is a server whose profile is written when it closes.
type profiled struct {
	contender.Server
	stop func() error
}

func (p *profiled) Close() error { return errors.Join(p.stop(), p.Server.Close()) }

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/alkdev/hubspoke/bench/measure"
)

// redisServer is a Redis of this run's own, so that what others do with theirs is not counted.
type redisServer struct {
	url string
	cmd *exec.Cmd
	dir string
}

// redisStart bounds how long it may take to answer.
const redisStart = 10 * time.Second

func startRedis(ctx context.Context) (*redisServer, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("W5 needs a Redis: give -redis, set %s, install redis-server, or leave W5 out with -workloads", redisVariable)
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bench-redis")
	if err != nil {
		return nil, err
	}
	r := &redisServer{url: "redis://127.0.0.1:" + strconv.Itoa(port), dir: dir}
	r.cmd = exec.CommandContext(ctx, program,
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", dir)
	if err := r.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := r.answers(ctx); err != nil {
		r.stop()
		return nil, err
	}
	return r, nil
}

// answers waits until the server does.
func (r *redisServer) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, redisStart)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		_, err := measure.RedisVersion(ctx, r.url)
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("redis-server does not answer: %w", err)
		}
	}
}

func (r *redisServer) stop() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait() // it was killed, and says so
	_ = os.RemoveAll(r.dir)
}

// freePort gives a port that nobody listens at. Another program could take it at once; then Redis does not start.
func freePort(ctx context.Context) (int, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/alkdev/hubspoke/bench/measure"
)

// machine is what figures depend on besides the code.
type machine struct {
	CPU     string   `json:"cpu"`
	Cores   int      `json:"cores"`
	Kernel  string   `json:"kernel"`
	Go      string   `json:"go"`
	Redis   string   `json:"redis,omitempty"`
	Modules []string `json:"modules"`
	Command string   `json:"command"`
	Date    string   `json:"date"`
}

// compared are the modules whose versions matter to a reader.
var compared = []string{
	"github.com/centrifugal/centrifuge", "github.com/centrifugal/centrifuge-go", "github.com/coder/websocket",
	"github.com/lesismal/arpc", "github.com/nats-io/nats-server/v2", "github.com/nats-io/nats.go", "github.com/redis/rueidis",
	"google.golang.org/grpc",
}

func describe(ctx context.Context, redis string) machine {
	m := machine{CPU: "unknown", Kernel: "unknown", Cores: runtime.NumCPU(), Go: runtime.Version()}
	if model, ok := cpuModel(); ok {
		m.CPU = model
	}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(release))
	}
	if redis != "" {
		// Without it the rows that need it fail and say why.
		m.Redis, _ = measure.RedisVersion(ctx, redis)
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if slices.Contains(compared, dep.Path) {
				m.Modules = append(m.Modules, dep.Path+" "+dep.Version)
			}
		}
	}
	return m
}

func cpuModel() (string, bool) {
	file, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "", false
	}
	for line := range bytes.Lines(file) {
		if name, value, found := bytes.Cut(line, []byte(":")); found && strings.TrimSpace(string(name)) == "model name" {
			return strings.TrimSpace(string(value)), true
		}
	}
	return "", false
}

// markdown is the head of the tables.
func (m machine) markdown(repetitions int) string {
	redis := "no Redis"
	if m.Redis != "" {
		redis = "Redis " + m.Redis
	}
	return fmt.Sprintf("%s, %d cores, kernel %s, %s, %s, loopback. Modules: %s.\n\n`%s`, %s. A cell is the median of %d repetitions "+
		"(min..max); **xN** is the cost against the floor in the same repetition, below 1 is better, for rates too.\n",
		m.CPU, m.Cores, m.Kernel, m.Go, redis, strings.Join(m.Modules, ", "), m.Command, m.Date, repetitions)
}

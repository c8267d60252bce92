package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/alkdev/hubspoke/spoke"
)

// mostHubs bounds the processes that a demo starts.
const mostHubs = 8

type demoFlags struct {
	src            string
	inFlight, hubs int
	redis          string
}

func parseDemo(args []string, std streams) (*demoFlags, error) {
	var f demoFlags
	fs := newFlags("demo", std)
	fs.StringVar(&f.src, "src", "", "directory with .go files; empty is src below `go env GOROOT`")
	fs.IntVar(&f.inFlight, "in-flight", 8, "how many files are on their way at once")
	fs.IntVar(&f.hubs, "hubs", 1, "how many hubs; more than one need -redis")
	fs.StringVar(&f.redis, "redis", "", "URL of the Redis that joins the hubs, as redis://:password@host:6379")
	if err := parseAlone(fs, args); err != nil {
		return nil, err
	}
	switch {
	case f.inFlight < 1:
		return nil, fmt.Errorf("%w: -in-flight must be more than 0", errUsage)
	case f.hubs < 1 || f.hubs > mostHubs:
		return nil, fmt.Errorf("%w: -hubs must be between 1 and %d", errUsage, mostHubs)
	case f.hubs > 1 && f.redis == "":
		return nil, fmt.Errorf("%w: -hubs %d needs -redis, the URL of the Redis that joins them", errUsage, f.hubs)
	}
	return &f, nil
}

// runDemo has every Go source file counted by spokes and checks what they say. On the way it kills a
// spoke, or one of several hubs. Whatever happens, the processes that it starts are gone when it returns.
func runDemo(ctx context.Context, args []string, std streams) (err error) {
	f, err := parseDemo(args, std)
	if err != nil {
		return err
	}
	_, leave, err := joinOthers(f.redis, "", nil) // so that what is wrong with it is told once, and first
	if err != nil {
		return err
	}
	leave()
	dir, err := f.directory(ctx)
	if err != nil {
		return err
	}
	files, err := listSources(dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	sys := newSystem(f.hubs, f.redis, cancel)
	defer func() {
		sys.stop()
		if err != nil {
			sys.showLogs(std.err)
		}
	}()
	if err := sys.start(ctx); err != nil {
		return err
	}
	say(std.out, "%s at %s and the spokes %s, a process each; %d files below %s\n",
		sys.hubsInWords(), strings.Join(sys.urls, ", "), strings.Join(sys.spokeNames(), ", "), len(files), dir)
	j := newJob(files, f.inFlight, newProgress(std.err, len(files)))
	begin := time.Now()
	if err := runJob(ctx, sys, j); err != nil {
		if errors.Is(err, context.Canceled) {
			return errors.New("interrupted; the processes are gone")
		}
		return err
	}
	report(std.out, j, sys, time.Since(begin))
	return j.verdict()
}

// directory is where the sources are.
func (f *demoFlags) directory(ctx context.Context) (string, error) {
	dir := f.src
	if dir == "" {
		out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
		root := strings.TrimSpace(string(out))
		if err != nil || root == "" {
			return "", fmt.Errorf("the demo counts Go's own sources, and `go env GOROOT` did not say where they are "+
				"(is go installed and in PATH? -src DIR names others): %v", err)
		}
		dir = filepath.Join(root, "src")
	}
	// Some distributions have a link there, which a walk would not follow.
	resolved, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", fmt.Errorf("the sources: %w", err)
	}
	return resolved, nil
}

// runJob does the job, on a connection of its own to each hub.
func runJob(ctx context.Context, sys *system, j *job) error {
	var askers []asker
	var leaves []func()
	defer func() {
		for _, leave := range leaves {
			leave()
		}
	}()
	for i := range sys.urls {
		urls := sys.spokeURLs(i)
		s, leave, err := connect(ctx, urls[0], &spoke.Options{ID: fmt.Sprintf("demo-%d", i+1), URLs: urls[1:],
			Token: spoke.StaticToken(sys.token), MaxMessageBytes: maxMessageBytes, BackoffMax: backoffMax,
			Interceptors: j.interceptors()})
		if err != nil {
			return err
		}
		leaves = append(leaves, leave)
		askers = append(askers, asker{s, sys.far(i)})
	}
	if len(askers) == 1 {
		return j.run(ctx, askers, sys.replaceSpoke)
	}
	if err := j.run(ctx, askers, sys.killHub); err != nil {
		return err
	}
	return sys.allBack(ctx, j, askers[0])
}

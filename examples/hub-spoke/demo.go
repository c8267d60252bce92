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

type demoFlags struct {
	src      string
	inFlight int
}

func parseDemo(args []string, std streams) (*demoFlags, error) {
	var f demoFlags
	fs := newFlags("demo", std)
	fs.StringVar(&f.src, "src", "", "directory with .go files; empty is src below `go env GOROOT`")
	fs.IntVar(&f.inFlight, "in-flight", 8, "how many files are on their way at once")
	if err := parseAlone(fs, args); err != nil {
		return nil, err
	}
	if f.inFlight < 1 {
		return nil, fmt.Errorf("%w: -in-flight must be more than 0", errUsage)
	}
	return &f, nil
}

// runDemo has every Go source file counted by three spokes, of which it kills one on the way, and
// checks what they say. Whatever happens, the processes that it starts are gone when it returns.
func runDemo(ctx context.Context, args []string, std streams) (err error) {
	f, err := parseDemo(args, std)
	if err != nil {
		return err
	}
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
	sys := newSystem(cancel)
	defer func() {
		sys.stop()
		if err != nil {
			sys.showLogs(std.err)
		}
	}()
	if err := sys.start(ctx); err != nil {
		return err
	}
	say(std.out, "a hub at %s and the spokes %s, a process each; %d files below %s\n",
		sys.hubURL, strings.Join(sys.spokeNames(), ", "), len(files), dir)
	j := newJob(files, f.inFlight, newProgress(std.err, len(files)))
	begin := time.Now()
	if err := runJob(ctx, sys, j); err != nil {
		if errors.Is(err, context.Canceled) {
			return errors.New("interrupted; the processes are gone")
		}
		return err
	}
	report(std.out, j, sys.killed, time.Since(begin))
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

// runJob does the job on a connection of its own.
func runJob(ctx context.Context, sys *system, j *job) error {
	s, leave, err := connect(ctx, sys.spokeURL(), &spoke.Options{ID: "demo", Token: spoke.StaticToken(sys.token),
		MaxMessageBytes: maxMessageBytes})
	if err != nil {
		return err
	}
	defer leave()
	return j.run(ctx, s, sys.replace)
}

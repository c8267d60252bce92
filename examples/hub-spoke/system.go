package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// spokesAtOnce is how many spokes the demo runs.
const spokesAtOnce = 3

// startLimit is how long a process may take to say that it is ready.
const startLimit = 20 * time.Second

// system is the hub and the spokes of the demo, a process each.
type system struct {
	token  string
	fail   context.CancelCauseFunc // called when a process ends that should not
	hubURL string
	killed string // the spoke that was killed

	mu       sync.Mutex // guards the fields below
	hub      *process
	spokes   []*process // in the order of their start
	stopping bool
	watchers sync.WaitGroup
}

func newSystem(fail context.CancelCauseFunc) *system {
	return &system{token: rand.Text(), fail: fail}
}

// start starts all and returns when they are ready.
func (s *system) start(ctx context.Context) error {
	hub, err := s.launch("hub", "hub", "-listen", "127.0.0.1:0", "-token", "demo="+s.token, "-until-eof")
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.hub = hub
	s.mu.Unlock()
	if s.hubURL, err = hub.announced(ctx, "listening on "); err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make([]error, spokesAtOnce)
	for i := range errs {
		wg.Go(func() { errs[i] = s.startSpoke(ctx, i+1) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (s *system) spokeURL() string { return "ws" + strings.TrimPrefix(s.hubURL, "http") + "/spoke" }

func spokeName(number int) string { return fmt.Sprintf("spoke-%d", number) }

func (s *system) startSpoke(ctx context.Context, number int) error {
	name := spokeName(number)
	p, err := s.launch(name, "spoke", "-hub", s.spokeURL(), "-id", name, "-until-eof")
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.spokes = append(s.spokes, p)
	s.mu.Unlock()
	_, err = p.announced(ctx, "registered as ")
	return err
}

// replace kills a spoke in the middle of its work, as the kernel would, and starts another.
func (s *system) replace(ctx context.Context) error {
	s.mu.Lock()
	i := slices.IndexFunc(s.spokes, func(p *process) bool { return p.name == spokeName(2) })
	victim := s.spokes[i]
	s.killed = victim.name
	s.mu.Unlock()
	victim.kill()
	return s.startSpoke(ctx, spokesAtOnce+1)
}

// launch starts a process of this program and watches over it.
func (s *system) launch(name string, args ...string) (*process, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, err := startProcess(name, path, args, append(os.Environ(), "HUBSPOKE_TOKEN="+s.token))
	if err != nil {
		return nil, err
	}
	s.watchers.Go(func() {
		<-p.done
		s.mu.Lock()
		expected := s.stopping || p.name == s.killed
		s.mu.Unlock()
		if !expected {
			s.fail(fmt.Errorf("the process of %s ended: %w", p.name, p.outcome()))
		}
	})
	return p, nil
}

func (s *system) spokeNames() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, p := range s.spokes {
		names = append(names, p.name)
	}
	slices.Sort(names)
	return names
}

// stop ends all that is left, spokes before the hub, and returns when they are gone.
func (s *system) stop() {
	s.mu.Lock()
	s.stopping = true
	hub, spokes := s.hub, s.spokes
	s.mu.Unlock()
	var wg sync.WaitGroup
	for _, p := range spokes {
		wg.Go(p.stop)
	}
	wg.Wait()
	if hub != nil {
		hub.stop()
	}
	s.watchers.Wait()
}

// showLogs shows what the processes said last; it is for after a failure.
func (s *system) showLogs(w io.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.spokes
	if s.hub != nil {
		all = append([]*process{s.hub}, all...)
	}
	for _, p := range all {
		if text := p.logs.text(); text != "" {
			say(w, "--- the last of %s\n%s", p.name, text)
		}
	}
}

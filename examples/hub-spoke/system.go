package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/alkdev/hubspoke/hub/redisbackplane"
)

// startLimit is how long a process may take to say that it is ready.
const startLimit = 20 * time.Second

// What is killed here does not come back where it was, and there are few that look for another hub.
const (
	sessionWindow = 2 * time.Second
	backoffMax    = 500 * time.Millisecond
)

// system is the hubs and the spokes of the demo, a process each.
type system struct {
	token string
	redis string                  // joins the hubs; empty for one that is alone
	fail  context.CancelCauseFunc // called when a process ends that should not
	urls  []string                // of the hubs, as http; set by start
	stray []string                // spokes of the hub that was killed; set by killHub

	mu       sync.Mutex // guards the fields below
	hubs     []*process
	spokes   []*process // in the order of their start
	killed   string     // the process that was killed
	stopping bool
	watchers sync.WaitGroup
}

func newSystem(hubs int, redis string, fail context.CancelCauseFunc) *system {
	return &system{token: rand.Text(), redis: redis, fail: fail, urls: make([]string, hubs), hubs: make([]*process, hubs)}
}

// start starts all and returns when they are ready.
func (s *system) start(ctx context.Context) error {
	prefix := redisbackplane.DefaultPrefix + "demo-" + rand.Text() + ":" // other hubs on that Redis are not ours
	err := atOnce(len(s.hubs), func(i int) error { return s.startHub(ctx, i, prefix) })
	if err != nil {
		return err
	}
	return atOnce(s.spokesAtOnce(), func(i int) error { return s.startSpoke(ctx, i+1) })
}

// atOnce does n things concurrently and returns the first error.
func atOnce(n int, do func(i int) error) error {
	var all errgroup.Group
	for i := range n {
		all.Go(func() error { return do(i) })
	}
	return all.Wait()
}

// startHub starts the hub with this index.
func (s *system) startHub(ctx context.Context, i int, prefix string) error {
	args := []string{"hub", "-listen", "127.0.0.1:0", "-token", "demo=" + s.token, "-session-window", sessionWindow.String(), "-until-eof"}
	if s.redis != "" {
		args = append(args, "-redis", s.redis, "-redis-prefix", prefix)
	}
	p, err := s.launch(s.hubName(i), args...)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.hubs[i] = p
	s.mu.Unlock()
	s.urls[i], err = p.announced(ctx, "listening on ")
	return err
}

func (s *system) hubName(i int) string {
	if len(s.hubs) == 1 {
		return "hub"
	}
	return fmt.Sprintf("hub-%d", i+1)
}

// spokeURLs are all hubs, for a spoke that tries this one first.
func (s *system) spokeURLs(first int) []string {
	var urls []string
	for i := range s.urls {
		urls = append(urls, "ws"+strings.TrimPrefix(s.urls[(first+i)%len(s.urls)], "http")+"/spoke")
	}
	return urls
}

// spokesAtOnce is how many spokes the demo runs: three, or two for each of several hubs.
func (s *system) spokesAtOnce() int { return max(3, 2*len(s.hubs)) }

func spokeName(number int) string { return fmt.Sprintf("spoke-%d", number) }

// home is the index of the hub that the spoke tries first.
func (s *system) home(number int) int { return (number - 1) % len(s.hubs) }

func (s *system) startSpoke(ctx context.Context, number int) error {
	name := spokeName(number)
	args := []string{"spoke", "-id", name, "-label", homeLabel + "=" + s.hubName(s.home(number)),
		"-backoff-max", backoffMax.String(), "-until-eof"}
	for _, url := range s.spokeURLs(s.home(number)) {
		args = append(args, "-hub", url)
	}
	p, err := s.launch(name, args...)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.spokes = append(s.spokes, p)
	s.mu.Unlock()
	_, err = p.announced(ctx, "registered as ")
	return err
}

// replaceSpoke kills a spoke in the middle of its work, as the kernel would, and starts another.
func (s *system) replaceSpoke(ctx context.Context) error {
	s.mu.Lock()
	i := slices.IndexFunc(s.spokes, func(p *process) bool { return p.name == spokeName(2) })
	victim := s.spokes[i]
	s.killed = victim.name
	s.mu.Unlock()
	victim.kill()
	return s.startSpoke(ctx, s.spokesAtOnce()+1)
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

// stop ends all that is left, spokes before the hubs, and returns when they are gone.
func (s *system) stop() {
	s.mu.Lock()
	s.stopping = true
	hubs, spokes := slices.Clone(s.hubs), s.spokes
	s.mu.Unlock()
	for _, group := range [][]*process{spokes, hubs} {
		var wg sync.WaitGroup
		for _, p := range group {
			if p != nil {
				wg.Go(p.stop)
			}
		}
		wg.Wait()
	}
	s.watchers.Wait()
}

// showLogs shows what the processes said last; it is for after a failure.
func (s *system) showLogs(w io.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range slices.Concat(s.hubs, s.spokes) {
		if p == nil {
			continue
		}
		if text := p.logs.text(); text != "" {
			say(w, "--- the last of %s\n%s", p.name, text)
		}
	}
}

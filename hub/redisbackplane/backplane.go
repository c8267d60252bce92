package redisbackplane

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/redis/rueidis"
	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/pubsub/redistarget"
)

// Backplane joins hubs through one Redis. Several hubs of one process may share
// it. Make one with [New] and end it with Close, after the hubs. All methods may be called concurrently.
type Backplane struct {
	client   rueidis.Client
	cluster  bool
	opts     Options
	log      zerolog.Logger
	keys     keys
	nonce    string // begins the tokens of claims
	reach    reach
	refresh  time.Duration // how often a hub writes all its keys again
	events   *redistarget.Target
	counters counters
	wg       sync.WaitGroup // connections being made or closed, which nobody else can wait for

	dir   directory
	links links

	mu      sync.Mutex        // guards the fields below
	inboxes map[string]*inbox // by hub
	closed  bool
}

// New makes a backplane on client, which stays the caller's and must outlive it. Nil options are the
// defaults. It asks Redis for its version, its database and the rights of the user, and subscribes, with a
// deadline. The error wraps [ErrOptions] if a setting is wrong, and names it. A user without the rights to INFO and
// CLIENT INFO is accepted: then version and database are not checked.
func New(client rueidis.Client, o *Options) (*Backplane, error) {
	if client == nil {
		return nil, errors.New("redisbackplane: New needs a rueidis.Client")
	}
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	b := &Backplane{client: client, opts: opts, log: *opts.Logger, keys: keys{opts.directoryPrefix()}, nonce: newIncarnation()[:8] + ".",
		cluster: client.Mode() == rueidis.ClientModeCluster, inboxes: make(map[string]*inbox)}
	b.reach.timeout, b.refresh = opts.Timeout, refreshPeriod
	b.dir.b, b.links.b = b, b
	ctx, cancel := context.WithTimeout(context.Background(), 5*opts.Timeout)
	defer cancel()
	if err := b.checkServer(ctx); err != nil {
		return nil, err
	}
	b.events, err = redistarget.New(client, &redistarget.Options{Prefix: opts.EventPrefix, ProbePrefix: opts.probePrefix(), Mode: opts.EventMode,
		OnError: func(err error) { b.log.Warn().Err(err).Msg("events") }})
	if err != nil {
		return nil, explain("the Redis of the client, for events,", err)
	}
	return b, nil
}

// Backplane gives what a hub needs.
func (b *Backplane) Backplane() *hub.Backplane {
	return &hub.Backplane{Events: b.events, Directory: &b.dir, Links: &b.links, Health: b.Health}
}

// Health says how the backplane is: degraded, with reasons, while Redis or a
// subscription is down, or a hub's claims are not all in the directory.
func (b *Backplane) Health() hub.Health {
	var reasons []string
	if err := b.reach.check(); err != nil {
		reasons = append(reasons, err.Error())
	}
	if e := b.events.Health(); !e.Up {
		reasons = append(reasons, "events: "+e.Reason)
	}
	b.mu.Lock()
	for _, in := range b.inboxes {
		if err := in.check(); err != nil {
			reasons = append(reasons, "links: "+err.Error())
		}
	}
	b.mu.Unlock()
	reasons = append(reasons, b.dir.reasons()...)
	if len(reasons) == 0 {
		return hub.Health{Status: hub.StatusOK}
	}
	slices.Sort(reasons)
	return hub.Health{Status: hub.StatusDegraded, Reasons: slices.Compact(reasons)}
}

// Close ends what the backplane itself runs and waits for it. The hubs must have
// left; what a hub asks afterwards fails. The client stays open.
func (b *Backplane) Close() {
	b.mu.Lock()
	b.closed = true
	inboxes := make([]*inbox, 0, len(b.inboxes))
	for _, in := range b.inboxes {
		inboxes = append(inboxes, in)
	}
	b.mu.Unlock()
	b.dir.close()
	for _, in := range inboxes {
		in.stop()
		in.wg.Wait()
	}
	b.events.Close()
	b.wg.Wait()
}

// newIncarnation tells one life of something from the next.
func newIncarnation() string { return rand.Text() }

package redistarget

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/pubsub"
)

// Target is a [pubsub.EventTarget] on Redis pub/sub. Make one with [New] and end
// it with Close. All methods may be called concurrently, and from listeners and
// callbacks.
type Target struct {
	client  rueidis.Client
	opts    Options
	cluster bool // a cluster's client
	sharded bool
	probeID string

	crew     *crew
	inbox    *inbox
	local    pubsub.Local // calls the listeners; only the inbox dispatches on it
	counters counters
	closing  context.Context // ends with Close; the base of all that runs in the background
	cancel   context.CancelFunc
	deadline deadlines
	lanes    [laneCount]lane
	waiting  atomic.Int64 // publications in all lanes
	queued   atomic.Int64 // their bytes

	only   *link   // all topics, but in a sharded cluster
	router *router // a sharded cluster's

	mu     sync.Mutex // guards the fields below, and those of interests and links; taken before the inbox' lock
	closed bool
	topics map[string]*interest
	links  map[string]*link
	health Health
}

var (
	_ pubsub.EventTarget   = (*Target)(nil)
	_ pubsub.CloseNotifier = (*Target)(nil)
)

// New makes a target on client, which stays the caller's: Close does not close
// it, and it must outlive the target. It takes a connection of the client's blocking pool for
// each link. o may be nil; it is not kept.
//
// New asks Redis for its version and its database and makes the first link, within Options.Timeout
// each. The error says what to change: an address that does not answer, a
// password that is missing, a version that is too old for the mode.
func New(client rueidis.Client, o *Options) (*Target, error) {
	if client == nil {
		return nil, errors.New("redistarget: New needs a rueidis.Client")
	}
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	t := &Target{
		client:  client,
		opts:    opts,
		cluster: client.Mode() == rueidis.ClientModeCluster,
		probeID: newProbeID(),
		crew:    newCrew(),
		topics:  make(map[string]*interest),
		links:   make(map[string]*link),
	}
	t.sharded = opts.Mode == Sharded || opts.Mode == Auto && t.cluster
	t.closing, t.cancel = context.WithCancel(context.Background())
	t.deadline.length = opts.Timeout
	t.inbox = newInbox(opts.MaxQueueBytes, &t.counters, t.deliver)
	if err := t.checkServer(); err != nil {
		t.cancel()
		return nil, err
	}
	t.crew.start(t.inbox.run)
	if err := t.connect(); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// connect makes what New waits for: the only link, or the map of the slots.
func (t *Target) connect() error {
	if t.cluster && t.sharded {
		t.router = newRouter(t)
		if err := t.router.load(); err != nil {
			return explain("read the cluster's slots", err)
		}
		t.mu.Lock()
		t.assessLocked()
		t.mu.Unlock()
		t.crew.start(t.router.run)
		return nil
	}
	t.mu.Lock()
	t.only = t.newLinkLocked("")
	t.mu.Unlock()
	if err := <-t.only.first; err != nil {
		return explain("subscribe", err)
	}
	return nil
}

// deliver hands one item to the listeners, on the inbox' goroutine.
func (t *Target) deliver(it *item) {
	t.crew.enter()
	defer t.crew.leave()
	ev := pubsub.Event{Topic: it.topic, Payload: it.payload}
	switch {
	case it.fn != nil:
		it.fn()
		return
	case it.gap != nil:
		ev.Gap, ev.Dropped = true, it.gap.dropped
	case !it.local:
		payload, err := t.opts.Serializer.Decode([]byte(it.message))
		if err != nil {
			t.counters.invalid.Add(1)
			t.counters.gaps.Add(1)
			t.report(&messageError{it.topic, err})
			ev.Gap, ev.Dropped = true, 1
		}
		ev.Payload = payload
	}
	// It fails only when it is closed: then nobody listens.
	_ = t.local.Deliver(ev)
}

// Close ends all subscriptions and makes Dispatch and Listen return
// [pubsub.ErrClosed]. What waits to be delivered is dropped; what waits to be published
// fails. It returns when the target's goroutines have ended and its connections
// are closed, which takes up to a second where Redis does not answer. Only a
// listener or callback that is running, and a dial of rueidis, it does not wait for:
// their goroutines end when these come back. Calling it again does nothing else.
func (t *Target) Close() {
	t.mu.Lock()
	first := !t.closed
	t.closed = true
	if first {
		for _, in := range t.topics {
			in.failLocked(pubsub.ErrClosed)
		}
		clear(t.topics)
	}
	t.mu.Unlock()
	t.cancel()
	t.inbox.close()
	if first {
		t.local.Close()
		t.deadline.end()
	}
	t.crew.close()
}

// AfterClose implements [pubsub.CloseNotifier]. fn is called in the goroutine of Close.
func (t *Target) AfterClose(fn func()) (stop func() bool) { return t.local.AfterClose(fn) }

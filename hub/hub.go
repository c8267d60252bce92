package hub

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/call"
	weborigin "github.com/alkdev/hubspoke/internal/origin"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/quota"
	"github.com/alkdev/hubspoke/internal/registration"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/pubsub/wstarget"
	"github.com/alkdev/hubspoke/transport"
)

// Hub accepts spokes and routes calls and events among them, the embedding
// program, and other hubs. It is an [http.Handler] and a [call.Caller]. All
// methods may be called concurrently. Make one with [New] and end it with [Hub.Shutdown] or [Hub.Close].
type Hub struct {
	// Fixed by New.
	opts      Options
	log       zerolog.Logger
	ctx       context.Context // the parent of every handler's
	cancel    context.CancelFunc
	open      context.Context // ends when the hub has drained; a connection that has not registered by then is closed
	shut      context.CancelFunc
	handshake transport.AcceptOptions
	origins   weborigin.Policy
	idPrefix  string
	startedAt time.Time
	core      pubsub.EventTarget
	directory Directory
	publisher *publisher

	intercepted    call.Caller // with Options.Interceptors; nil without
	operations     call.Registry
	linkOperations call.Registry // what other hubs call: of this hub alone
	table          table
	fanout         *wstarget.Fanout
	links          links
	leaveDirectory func(context.Context)
	counters       peer.Counters
	calls          peer.Gauges    // of all spokes
	queues         session.Totals // likewise
	local          peer.Local     // calls of the embedding program to the hub's own operations
	turn           atomic.Uint64
	building       chan struct{} // holds one for each page of a list that is being built
	refused        atomic.Uint64
	published      atomic.Uint64
	draining       atomic.Bool // set under mu
	connections    atomic.Int64
	resumed        atomic.Uint64
	seats          quota.Counts // connections by identity
	operationSets  registration.OperationSets
	leftovers      leftovers
	rateLimited    atomic.Uint64

	reading    context.Context // ends, with a cause, when streams have had their time to end in a drain
	endReading context.CancelCauseFunc

	drained  chan struct{}  // closed when draining is set
	mu       sync.Mutex     // held where entered grows: once the hub drains, only while sessions is not 0
	sessions int            // how many enterSession has counted; guarded by mu
	entered  sync.WaitGroup // one for each connection, from its handshake to its end, and for each session
	stopBeat context.CancelFunc
	beat     sync.WaitGroup
}

// New makes a hub. It fails with [ErrOptions].
func New(o *Options) (*Hub, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	h := &Hub{opts: opts, startedAt: time.Now(), idPrefix: randomPrefix(), drained: make(chan struct{}), building: make(chan struct{}, listsAtOnce)}
	h.queues.MaxDetached = opts.MaxWaitingBytes
	if len(opts.Interceptors) > 0 {
		h.intercepted = call.Intercept(caller{h}, opts.Interceptors...)
	}
	h.log = opts.Logger.With().Str("hub", opts.ID).Logger()
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.open, h.shut = context.WithCancel(h.ctx)
	h.reading, h.endReading = context.WithCancelCause(context.Background())
	h.handshake = handshakeOptions(&opts)
	h.origins, _ = weborigin.New(opts.Origins) // withDefaults has checked them
	if b := opts.Backplane; b != nil {
		h.core, h.directory = b.Events, b.Directory
	}
	if h.core == nil {
		h.core = &pubsub.Local{}
	}
	if h.directory == nil {
		h.directory = &MemoryDirectory{}
	}
	h.fanout = wstarget.NewFanout(h.core, &h.log, &h.counters.Malformed)
	h.local.Log, h.local.Counters, h.local.MaxDepth = h.log, &h.counters, opts.MaxDepth
	h.publisher = newPublisher(h.ctx, h.core)
	h.registerOperations()
	h.registerLinkOperations()
	h.links.hub = h
	if err := h.joinBackplane(); err != nil {
		h.cancel()
		return nil, err
	}
	beatCtx, stop := context.WithCancel(context.Background())
	h.stopBeat = stop
	h.beat.Go(func() { h.heartbeat(beatCtx) })
	return h, nil
}

// joinBackplane enters the hub into the directory and the links. It may wait for
// a predecessor with the same id to be gone.
func (h *Hub) joinBackplane() error {
	leave, err := h.directory.Join(h.ctx, h.opts.ID, h.taken)
	if err != nil {
		return fmt.Errorf("hub: the directory: %w", err)
	}
	h.leaveDirectory = leave
	if err := h.links.join(); err != nil {
		leave(h.ctx)
		return fmt.Errorf("hub: the links: %w", err)
	}
	return nil
}

// ID is the hub's id.
func (h *Hub) ID() string { return h.opts.ID }

// Operations holds the operations that the hub serves itself, for spokes and for
// the embedding program. Names that begin with "hub." are taken.
func (h *Hub) Operations() *call.Registry { return &h.operations }

// Events is where the embedding program publishes and subscribes. What is
// published there reaches every spoke that has subscribed, and the other hubs.
// Topics that begin with "__" or "call." fail with [pubsub.ErrInvalidTopic]. A listener that panics is logged and
// counted ([Stats].Panics), and hears the next event.
func (h *Hub) Events() pubsub.EventTarget { return events{h} }

// enter counts a connection. A hub that drains takes it only while it has sessions that it may be for.
func (h *Hub) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.draining.Load() && h.sessions == 0 {
		return false
	}
	h.entered.Add(1)
	h.connections.Add(1)
	return true
}

// enterSession counts a session likewise; leave is its end.
func (h *Hub) enterSession() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.draining.Load() {
		return false
	}
	h.entered.Add(1)
	h.sessions++
	return true
}

func (h *Hub) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sessions--
	h.entered.Done()
}

func (h *Hub) exit() {
	h.connections.Add(-1)
	h.entered.Done()
}

package hub

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/singleflight"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/transport"
)

// link is a hub's way to another hub. The same engine runs on it as on a spoke's
// connection; the backplane is trusted, so identities on it are believed.
type link struct {
	hub   *Hub
	hubID string
	conn  transport.Conn
	peer  *peer.Peer
	log   zerolog.Logger
}

// linkInFlight bounds what other hubs have in flight here. Each call there holds
// a slot of its own caller, so that this bound is for accidents only.
const linkInFlight = 1 << 20

// links holds the link to each other hub.
type links struct {
	hub   *Hub
	leave func()
	open  context.Context // ends with close; that of dials
	shut  context.CancelFunc
	dials singleflight.Group // by hub

	mu     sync.Mutex         // guards the fields below
	byHub  map[string]*link   // the one that calls go over
	all    map[*link]struct{} // where both sides dialled there are two
	closed bool
	wg     sync.WaitGroup // readers and dials
}

// linkMessageBytes bounds a message on a link, so that none is too large for a link in memory; no
// hub that runs takes one that large from a spoke.
const linkMessageBytes = 1 << 30

var errNoLinks = errors.New("the hub has no links to other hubs")

func (ls *links) join() error {
	if ls.hub.opts.Backplane == nil || ls.hub.opts.Backplane.Links == nil {
		return nil
	}
	ls.open, ls.shut = context.WithCancel(ls.hub.ctx)
	leave, err := ls.hub.opts.Backplane.Links.Join(ls.hub.opts.ID, ls.accept)
	ls.leave = leave
	return err
}

// linkTimeout bounds the time to open a link.
const linkTimeout = 5 * time.Second

// to returns the link to a hub, and opens it if there is none. Concurrent callers share one dial, which continues
// when one of them leaves.
func (ls *links) to(ctx context.Context, hubID string) (*link, error) {
	if ls.leave == nil {
		return nil, errNoLinks
	}
	ls.mu.Lock()
	l := ls.byHub[hubID]
	ls.mu.Unlock()
	if l != nil {
		return l, nil
	}
	select {
	case r := <-ls.dials.DoChan(hubID, func() (any, error) { return ls.dial(hubID) }):
		l, _ = r.Val.(*link)
		return l, r.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// dial opens a link, unless another hub has opened one just now.
func (ls *links) dial(hubID string) (*link, error) {
	ls.mu.Lock()
	l, closed := ls.byHub[hubID], ls.closed
	if !closed {
		ls.wg.Add(1)
		defer ls.wg.Done()
	}
	ls.mu.Unlock()
	switch {
	case closed:
		return nil, errNoLinks
	case l != nil:
		return l, nil
	}
	ctx, cancel := context.WithTimeout(ls.open, linkTimeout)
	defer cancel()
	conn, err := ls.hub.opts.Backplane.Links.Dial(ctx, ls.hub.opts.ID, hubID)
	if err != nil {
		return nil, err
	}
	if l = ls.start(hubID, conn); l == nil {
		return nil, errNoLinks
	}
	return l, nil
}

// accept takes a link that another hub has opened.
func (ls *links) accept(hubID string, conn transport.Conn) { ls.start(hubID, conn) }

// start runs the engine on a link. It gives nil when the hub is closing.
func (ls *links) start(hubID string, conn transport.Conn) *link {
	h := ls.hub
	log := h.log.With().Str("link", hubID).Logger()
	l := &link{hub: h, hubID: hubID, conn: conn, log: log}
	sess := session.New(session.Options{LimitBytes: max(h.opts.LogBytes, 16<<20), Owner: l})
	l.peer = peer.New(h.ctx, peer.Config{
		Session: sess, Side: l, IDPrefix: randomPrefix(), MaxInFlight: linkInFlight, Counters: &h.counters, Remote: hubID,
	})
	l.peer.SetRemote(linkMessageBytes, 0)
	if w, ok := conn.(Watched); ok {
		w.Watch(l.peer.Busy)
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.closed || sess.Attach(conn) != nil {
		conn.Abort()
		return nil
	}
	if ls.byHub == nil {
		ls.byHub = make(map[string]*link)
		ls.all = make(map[*link]struct{})
	}
	ls.all[l] = struct{}{}
	if ls.byHub[hubID] == nil {
		ls.byHub[hubID] = l
	}
	ls.wg.Go(func() { ls.run(l) })
	log.Info().Msg("link opened")
	return l
}

// madeFor looks a request up that was sent to the hub over any of the links to it.
func (ls *links) madeFor(hubID, id string) (in *peer.Incoming, ok bool) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for l := range ls.all {
		if l.hubID != hubID {
			continue
		}
		if in, ok = l.peer.MadeFor(id); ok {
			return in, true
		}
	}
	return nil, false
}

func (ls *links) run(l *link) {
	err := l.peer.Run(l.conn)
	ls.mu.Lock()
	if ls.byHub[l.hubID] == l {
		delete(ls.byHub, l.hubID)
	}
	delete(ls.all, l)
	ls.mu.Unlock()
	l.peer.End(err)
	l.conn.Abort()
	l.peer.Wait()
	ls.hub.log.Info().Err(err).Str("link", l.hubID).Msg("link ended")
}

// everyone returns all links, in no order.
func (ls *links) everyone() []*link {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return slices.Collect(maps.Keys(ls.all))
}

// idle waits until nothing is in flight on any link and all is written, or ctx ends.
func (ls *links) idle(ctx context.Context) {
	for _, l := range ls.everyone() {
		_ = l.peer.Idle(ctx) // when ctx ends the rest is cut off
	}
}

// close ends all links and waits for their readers.
func (ls *links) close() {
	ls.mu.Lock()
	ls.closed = true
	for l := range ls.all {
		l.conn.Close(transport.CloseGoingAway, "the hub goes away")
	}
	ls.mu.Unlock()
	if ls.leave != nil {
		ls.shut()
		ls.leave()
	}
	ls.wg.Wait()
}

var (
	_ peer.Side     = (*link)(nil)
	_ session.Owner = (*link)(nil)
)

// Slow implements [session.Owner].
func (l *link) Slow() { l.conn.Abort() }

// Log implements [peer.Side].
func (l *link) Log() *zerolog.Logger { return &l.log }

// Ends implements [peer.Side].
func (l *link) Ends() (this, other string) { return "hub " + l.hub.opts.ID, "hub " + l.hubID }

// Streams implements [peer.Side].
func (l *link) Streams(operation string) bool { return l.hub.streams(operation) }

// MadeFor implements [peer.Side].
func (l *link) MadeFor(id string) (*peer.Incoming, bool) { return l.hub.links.madeFor(l.hubID, id) }

// Event implements [peer.Side]: hubs share events by the backplane, not by links.
func (l *link) Event(string, []byte, error) {}

// Control implements [peer.Side]. No control frame is for links.
func (l *link) Control(*wire.Message) bool { return false }

// Serve implements [peer.Side]: a request that came from another hub is answered here, or not at all.
func (l *link) Serve(_ context.Context, in *peer.Incoming) *call.Error {
	h, req := l.hub, &in.Request
	if h.draining.Load() && req.ParentID == "" {
		return draining()
	}
	if req.To == "" { // with it the request is somebody's call that was sent on, and no question of the hub's own
		if _, handler, ok := h.linkOperations.Lookup(req.Operation); ok {
			return in.Handle(handler)
		}
	}
	a := &attempts{sink: in, in: in}
	h.makeLeg(&a.leg, req, req.OriginID)
	e := h.tryHere(req, a)
	if isDetached(e) && !req.FailFast {
		return h.tryReturning(req, a)
	}
	return e
}

package hub

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/registration"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/pubsub/wstarget"
	"github.com/alkdev/hubspoke/transport"
)

// conn is one accepted spoke: its session, and the connection of the moment. A
// session that cannot be resumed ends with its connection.
type conn struct {
	// Fixed when it registers, before anybody else sees it.
	hub         *Hub
	peer        *peer.Peer
	events      *wstarget.Endpoint
	id          string
	instanceID  string
	sessionID   string // made by the hub; "" where the session cannot be resumed
	assigned    bool   // the id is the hub's choice
	offers      bool   // the registration offered a session that this hub does not hold
	connectedAt time.Time

	origin     atomic.Pointer[origin] // of the last connection; always of one identity's id
	maxMessage atomic.Int64
	keepFor    atomic.Int64               // how long the session waits for a connection
	now        atomic.Pointer[attachment] // the last connection; nil before the first

	// Room for what origin and now point to at first, which most sessions do not outlive.
	from  origin
	first attachment

	// The table's mu guards the fields below.
	generation int64
	attempt    int64
	profile    profile
	retired    string    // why it was taken out of the table; "" while it is in
	waiting    bool      // its connection was lost, and its session may be resumed
	detachedAt time.Time // when that happened; zero while it has one
	newer      *Record   // on another hub, known before this one had its generation; nil for none

	attached atomic.Bool                // its first connection has been attached
	leaving  atomic.Bool                // the spoke has sent __drain, on this connection or an earlier one
	drained  atomic.Bool                // Shutdown waits for its calls no longer: it closes with 1012
	expired  atomic.Pointer[attachment] // closed since its credentials have expired

	presence sync.Mutex // guards the fields below, and the order of what is told of them
	here     bool       // connected has been published
	away     bool       // detached has been published, and resumed has not
	gone     bool       // it has gone

	registering sync.Mutex // serialises registering again
	registered  uint64     // the newest registration that was applied; guarded by registering

	lists    gate                       // held while an answer to hub.spokes or hub.operations is made and queued
	resuming gate                       // held while a registration resumes or the window ends: these wait for each other
	window   atomic.Pointer[time.Timer] // ends a session that has no connection
	finish   sync.Once
}

// The reasons with which a connection is closed for a newer registration of its id.
const (
	reasonReplaced   = "replaced by another instance"
	reasonSuperseded = "superseded by a newer connection"
	reasonNewer      = "the spoke has a newer connection" // the refused one's
)

// profile is what a registration may change.
type profile struct {
	name       string
	version    string
	labels     map[string]string
	operations map[string]call.Operation  // of set; not changed
	set        *registration.OperationSet // held so that it is found again
}

var (
	_ peer.Side     = (*conn)(nil)
	_ session.Owner = (*conn)(nil)

	errReplaced = errors.New("replaced by a newer registration")
	errSilent   = errors.New("heartbeat missed")
	errKicked   = errors.New("disconnected by the operator")
)

// newConn makes the session of a registration: the peer with its pending requests, and the hub's end of its events.
func (h *Hub) newConn(a *arrival) *conn {
	c := &conn{hub: h, id: a.reg.SpokeID, instanceID: a.reg.InstanceID,
		attempt: a.reg.Attempt, connectedAt: time.Now()}
	if c.id == "" {
		c.id, c.assigned = uuid.NewString(), true
	}
	if s := a.reg.Session; s != nil && h.opts.SessionWindow > 0 {
		c.sessionID, c.offers = rand.Text(), s.ID != ""
	}
	c.peer = peer.New(h.ctx, peer.Config{
		Session: session.New(session.Options{
			LimitBytes:      h.opts.LogBytes,
			EventBytes:      h.opts.EventBytes,
			EndOnSlowEvents: h.opts.CloseSlowReaders,
			Owner:           c,
			Interval:        h.opts.HeartbeatInterval,
			Resumable:       c.sessionID != "",
			Totals:          &h.queues,
		}),
		Side: c, IDPrefix: h.idPrefix,
		MaxInFlight: h.opts.MaxInFlight, Limit: "for one spoke, hub.Options.MaxInFlight", Running: h.leftovers.acquire(spokeOf{a.from.identity.ID, c.id}),
		MaxDepth: h.opts.MaxDepth, Counters: &h.counters, Gauges: &h.calls,
	})
	c.events = h.fanout.NewEndpoint(c.peer, h.opts.MaxTopics)
	c.from = *a.from
	a.from = &c.from
	c.adopt(a)
	return c
}

// Ends implements [peer.Side].
func (c *conn) Ends() (this, other string) { return "hub " + c.hub.opts.ID, "spoke " + c.id }

// adopt takes over what each registration says anew.
func (c *conn) adopt(a *arrival) {
	if old := c.origin.Swap(a.from); old != nil {
		c.recheckSubscriptions() // other credentials may permit less
	}
	c.maxMessage.Store(a.reg.MaxMessageBytes)
	if a.reg.MaxMessageBytes == 0 {
		c.maxMessage.Store(DefaultMaxMessageBytes)
	}
	keepFor := c.hub.opts.SessionWindow
	if s := a.reg.Session; s != nil && s.Window > 0 {
		keepFor = min(keepFor, time.Duration(min(s.Window, math.MaxInt64/int64(time.Millisecond)))*time.Millisecond)
	}
	c.keepFor.Store(int64(keepFor))
	c.peer.SetRemote(c.maxMessage.Load(), c.hub.inFlightLimit(a.reg))
	if a.reg.Session != nil {
		c.peer.Session().SetPeerBuffer(a.reg.Session.Buffer)
	}
	c.peer.SetMaxDepth(cmp.Or(a.reg.MaxDepth, wire.DefaultMaxDepth))
}

// connectionID is the id of the last connection.
func (c *conn) connectionID() string { return c.origin.Load().connection.String() }

// who is the identity of the spoke.
func (c *conn) who() *call.Identity { return c.origin.Load().identity }

// end ends the session, once: it takes the spoke out of the table, if it is still
// in, and fails what waits. The rest is cleaned up on a goroutine of its own.
func (c *conn) end(cause error) {
	c.finish.Do(func() {
		reason := c.hub.table.remove(c)
		if reason == "" {
			reason = closeReason(cause)
		}
		c.peer.End(cause)
		c.hub.departed(c, reason)
		c.hub.withdraw(c.offered())
		c.Log().Info().Str("reason", reason).Msg("spoke disconnected")
		go func() { // counted by enter; Shutdown waits for it
			c.events.Close()
			c.peer.Wait()
			c.hub.leftovers.release(spokeOf{c.who().ID, c.id})
			c.hub.leave()
		}()
	})
}

// closeReason says in a word why a connection ended.
func closeReason(err error) string {
	ce, ok := errors.AsType[*transport.CloseError](err)
	switch {
	case !ok:
		return "connection lost"
	case ce.Remote && ce.Code == transport.CloseLeft:
		return "left"
	case ce.Reason != "":
		return ce.Reason
	default:
		return ce.Code.String()
	}
}

// retire ends an older connection of the same spoke. The table has taken it out
// already; what it still says is ignored since its session has ended.
func (c *conn) retire(code transport.CloseCode, reason string) {
	err := &transport.CloseError{Code: code, Reason: reason}
	c.peer.End(err)
	c.hangUp(code, reason)
	c.end(err)
}

// displace takes the id, the record and the subscriptions from a connection that drains, for a newer registration
// of its id. The table has already done so. Its calls in flight continue until the drain timeout, and the events
// that their handlers publish are still accepted.
func (c *conn) displace() {
	c.hub.departed(c, "replaced")
	c.events.EndSubscriptions(reasonReplaced + " while it drains")
	c.Log().Info().Dur("timeout", c.hub.opts.DrainTimeout).Msg("spoke replaced while it drains")
	// No effect on a session that has ended by then; its memory is kept until the timer fires.
	time.AfterFunc(c.hub.opts.DrainTimeout, func() { c.retire(transport.CloseReplaced, reasonReplaced) })
}

// Slow implements [session.Owner].
func (c *conn) Slow() { c.dismiss(transport.CloseSlowConsumer, "what it is sent is not read") }

// Streams implements [peer.Side].
func (c *conn) Streams(operation string) bool { return c.hub.streams(operation) }

// MadeFor implements [peer.Side].
func (c *conn) MadeFor(id string) (*peer.Incoming, bool) { return c.peer.MadeFor(id) }

// Control implements [peer.Side].
func (c *conn) Control(m *wire.Message) bool {
	switch m.Type {
	case wire.Drain:
		c.leaving.Store(true)
		c.hub.table.changed()
	case wire.Subscribe:
		c.subscribe(string(m.Topic))
	case wire.Unsubscribe:
		c.events.Unsubscribe(string(m.Topic))
	default:
		return false
	}
	return true
}

// offered gives the names of the operations that c registered last.
func (c *conn) offered() []string {
	return slices.Collect(maps.Keys(c.hub.table.profileOf(c).operations))
}

// Serve implements [peer.Side].
func (c *conn) Serve(_ context.Context, in *peer.Incoming) *call.Error {
	if in.Request.Operation == wire.OperationRegister {
		return c.registerAgain(in)
	}
	// Ignore the identity that the request contains, and its parent unless that is in flight.
	in.Request.Identity = c.who()
	if c.hub.draining.Load() && in.Request.ParentID == "" {
		return draining()
	}
	req := &in.Request
	if req.To == "" {
		if op, h, ok := c.hub.operations.Lookup(req.Operation); ok {
			if e := c.hub.mayCall(c.who(), op); e != nil {
				return e
			}
			if c.hub.isList(req.Operation) {
				h = c.listing(h)
			}
			return in.Handle(h)
		}
	}
	return c.hub.route(req, req.ID, &attempts{sink: in, in: in})
}

package hub

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/pubsub/wstarget"
	"github.com/alkdev/hubspoke/transport"
)

// conn is one accepted spoke: the connection, and the session that so far ends
// with it.
type conn struct {
	// Fixed when it is accepted.
	hub       *Hub
	transport transport.Conn
	identity  *call.Identity
	log       zerolog.Logger
	peer      *peer.Peer
	events    *wstarget.Endpoint

	// Fixed when it registers, before anybody else sees it.
	id           string
	connectionID string
	instanceID   string
	attempt      int64
	maxMessage   int64
	connectedAt  time.Time

	// The table's mu guards the fields below.
	generation int64
	profile    profile
	retired    string // why it was taken out of the table; "" while it is in

	draining atomic.Bool // nothing new is routed to it
	pinged   atomic.Bool // asked for a sign of life and not heard since

	presence sync.Mutex // guards the fields below, and the order of what is told of them
	here     bool       // connected has been told
	gone     bool       // it has gone

	registering sync.Mutex // serialises registering again
	registered  uint64     // the newest registration that was applied; guarded by registering
}

// profile is what a registration may change.
type profile struct {
	name       string
	version    string
	labels     map[string]string
	operations map[string]call.Operation
}

var (
	_ wstarget.Outlet = (*conn)(nil)

	errReplaced = errors.New("replaced by a newer connection")
	errKicked   = errors.New("disconnected by the operator")
)

// newConn makes the session of an accepted connection: its event target, and the
// peer with its pending requests.
func (h *Hub) newConn(t transport.Conn, id *call.Identity, log zerolog.Logger) *conn {
	c := &conn{hub: h, transport: t, identity: id, log: log}
	sess := session.New(session.Options{
		LimitBytes:      h.opts.LogBytes,
		EventBytes:      h.opts.EventBytes,
		EndOnSlowEvents: h.opts.CloseSlowReaders,
		GapFrame: func(topic string, dropped int) []byte {
			return transport.AppendFrame(nil, wstarget.TypeGap, wstarget.GapPayload(topic, dropped))
		},
		OnSlow: func() { t.Close(transport.CloseSlowConsumer, "what it is sent is not read") },
		Log:    log,
	})
	c.events = wstarget.NewEndpoint(wstarget.EndpointOptions{
		Fanout: &h.fanout, Outlet: c, Publish: c.publish, Allow: c.maySubscribe, MaxTopics: h.opts.MaxTopics,
	})
	c.peer = peer.New(h.ctx, peer.Config{
		Session: sess, Log: log, IDPrefix: h.idPrefix, Serve: c.serve, Streams: h.streams,
		Event: c.events.Published, Control: c.control,
		MaxInFlight: h.opts.MaxInFlight, Counters: &h.counters,
	})
	return c
}

// run reads until the connection ends and cleans up after it. It runs on a
// goroutine of its own, so that the stack of the HTTP handler goes.
func (c *conn) run() {
	err := c.peer.Run(c.transport)
	c.leave(err)
	c.transport.Abort()
	c.events.Close()
	c.peer.Wait()
}

// leave takes the spoke out of the table, if it is still in, and ends its session.
func (c *conn) leave(cause error) {
	reason := c.hub.table.remove(c)
	if reason == "" {
		reason = closeReason(cause)
	}
	c.peer.End(cause)
	c.hub.departed(c, reason)
	c.hub.withdraw(c.offered())
	c.log.Info().Str("reason", reason).Msg("spoke disconnected")
}

// closeReason says in a word why a connection ended.
func closeReason(err error) string {
	ce, ok := errors.AsType[*transport.CloseError](err)
	switch {
	case !ok:
		return "connection lost"
	case ce.Remote && ce.Code == transport.CloseNormal:
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
	c.peer.End(errReplaced)
	c.transport.Close(code, reason)
}

// Control implements [wstarget.Outlet].
func (c *conn) Control(typ string, payload []byte) { _ = c.peer.Post(typ, payload) }

// Event implements [wstarget.Outlet]. An event that is larger than the spoke
// takes is dropped, and told as a gap.
func (c *conn) Event(topic string, frame []byte) {
	if c.maxMessage > 0 && int64(len(frame)) > c.maxMessage {
		c.Gap(topic, 1)
		return
	}
	c.peer.Session().PostEvent(topic, session.Shared(frame))
}

// Gap implements [wstarget.Outlet].
func (c *conn) Gap(topic string, dropped int) {
	_ = c.peer.Post(wstarget.TypeGap, wstarget.GapPayload(topic, dropped))
}

func (c *conn) maySubscribe(topic string) *wstarget.Denial {
	if reservedFrame(topic) {
		return &wstarget.Denial{Action: wstarget.ActionSubscribe, Topic: topic,
			Code: string(call.CodeAccessDenied), Message: "the topic is reserved"}
	}
	if e := c.hub.allow(c.identity, Subscribe, topic); e != nil {
		return &wstarget.Denial{Action: wstarget.ActionSubscribe, Topic: topic, Code: string(e.Code), Message: e.Message}
	}
	return nil
}

// publish takes an event of the spoke, on the reader.
func (c *conn) publish(ev pubsub.Event) *wstarget.Denial {
	deny := func(code call.Code, msg string) *wstarget.Denial {
		return &wstarget.Denial{Action: wstarget.ActionPublish, Topic: ev.Topic, Code: string(code), Message: msg}
	}
	if e := c.hub.mayPublish(c.identity, ev.Topic); e != nil {
		return deny(e.Code, e.Message)
	}
	c.hub.publishAsync(ev, func(err error) {
		c.events.Deny(deny(call.CodeUnavailable, err.Error()))
	})
	return nil
}

// control takes a control frame, on the reader.
func (c *conn) control(typ string, payload []byte) bool {
	if typ == peer.TypeDrain {
		c.draining.Store(true)
		c.hub.table.changed()
		return true
	}
	return c.events.Control(typ, payload)
}

// offered gives the names of the operations that c registered last.
func (c *conn) offered() []string {
	return slices.Collect(maps.Keys(c.hub.table.profileOf(c).operations))
}

// serve answers a request of the spoke, on a goroutine of its own.
func (c *conn) serve(ctx context.Context, in *peer.Inbound) *call.Error {
	if in.Request.Operation == peer.OperationRegister {
		return c.registerAgain(in)
	}
	in.Request.Identity = c.identity // what the request says of itself is never believed
	if c.hub.draining.Load() && in.Request.ParentID == "" {
		return &call.Error{Code: call.CodeUnavailable, Retryable: true, Message: "the hub is draining"}
	}
	req := &in.Request
	if req.To == "" {
		if op, h, ok := c.hub.operations.Lookup(req.Operation); ok {
			if e := c.hub.mayCall(c.identity, op); e != nil {
				return e
			}
			return in.Handle(h)
		}
	}
	return c.hub.route(ctx, req, req.ID, func(p *peer.Peer, leg *call.Request) *call.Error {
		return in.Forward(p, leg)
	})
}

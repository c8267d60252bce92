package peer

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/pending"
	"github.com/alkdev/hubspoke/transport"
)

// Config configures a peer. Session and Side are required.
type Config struct {
	// Session is where frames go out. The peer ends it.
	Session *session.Session
	// Side is what the peer works for.
	Side Side
	// IDPrefix begins the ids of requests made here, so that logs of many
	// sessions can be told apart.
	IDPrefix string
	// MaxInFlight bounds the requests that are served at once; 0 is 64.
	MaxInFlight int
	// Limit names the option that sets MaxInFlight, for errors; empty if there is none.
	Limit string
	// Running, if not nil, counts handlers of ended sessions that have not returned; sessions that share it count
	// them within MaxInFlight. Only handlers that [Incoming.Handle] runs are counted.
	Running *atomic.Int64
	// MaxDepth bounds the nesting of values that arrive; 0 is wire.MaxDepth.
	MaxDepth int
	// Gauges, if not nil, are what many peers have in flight together.
	Gauges *Gauges
	// Remote, if not empty, names the program at the other end, which may have more than one connection to
	// this one and knows a request by its id whichever it came on: a hub at the other end of a link.
	Remote string
	// Counters counts; it may be shared by many peers.
	Counters *Counters
}

// DefaultMaxInFlight is how many requests one side serves at once.
const DefaultMaxInFlight = 64

// Counters counts what the protocol says is counted.
type Counters struct {
	Calls       atomic.Uint64 // requests sent
	Served      atomic.Uint64 // requests received and taken up
	Overloaded  atomic.Uint64 // requests received over the limit
	Malformed   atomic.Uint64 // payloads that the protocol does not know
	Unknown     atomic.Uint64 // reserved types that the protocol does not know
	Late        atomic.Uint64 // answers for no request in flight
	Duplicates  atomic.Uint64 // requests under an id in flight
	Panics      atomic.Uint64 // handlers that panicked
	SlowStreams atomic.Uint64 // streams that ended with SLOW_CONSUMER
	Frames      atomic.Uint64 // frames received
}

// Peer is one end of a session.
type Peer struct {
	cfg      Config
	side     Side
	sess     *session.Session
	pending  pending.Map
	ctx      context.Context // whose values handlers see, and whose end ends theirs
	wg       sync.WaitGroup
	handling atomic.Bool // the reader handles a frame
	nextID   atomic.Uint64
	// maxMessage is the largest message that the other side takes; 0 while unknown.
	maxMessage  atomic.Int64
	maxDepth    atomic.Int64     // the nesting that it takes in a value; 0 is wire.MaxDepth
	cache       *decodeCache     // the reader's; nil before the first request
	paces       map[string]*pace // the reader's, by operation; nil if no handler runs on the reader
	pausedUntil time.Time        // the reader's: until then no handler runs there
	unflushed   unflushed        // the reader's

	mu      sync.Mutex // guards the fields below
	inbound map[string]*Incoming
	late    []*Incoming   // answered, but their handlers have not returned
	order   uint64        // of the last request that arrived
	quiet   chan struct{} // closed when nothing is served; nil while nobody waits
	pong    chan struct{} // closed by the next __pong; nil while RoundTrip does not wait
	ended   bool
	unwatch func() bool // stops the watch of ctx; nil before the first request
}

// New makes a peer. Handlers' contexts carry ctx's values; its end ends them.
func New(ctx context.Context, cfg Config) *Peer {
	if cfg.MaxInFlight <= 0 {
		cfg.MaxInFlight = DefaultMaxInFlight
	}
	if cfg.MaxDepth <= 0 || cfg.MaxDepth > wire.MaxDepth {
		cfg.MaxDepth = wire.MaxDepth
	}
	if cfg.Counters == nil {
		cfg.Counters = &Counters{}
	}
	p := &Peer{cfg: cfg, side: cfg.Side, sess: cfg.Session, ctx: ctx}
	if cfg.Gauges != nil {
		p.pending.CountIn(&cfg.Gauges.InFlight)
	}
	return p
}

// Gauges is what many peers have in flight together, kept up to date so that it can be read without asking each.
type Gauges struct {
	InFlight atomic.Int64 // requests made here that have not ended; see [Peer.InFlight]
	Serving  atomic.Int64 // requests that are served here; see [Peer.Serving]
}

// countServing keeps Gauges.Serving.
func (p *Peer) countServing(n int64) {
	if p.cfg.Gauges != nil {
		p.cfg.Gauges.Serving.Add(n)
	}
}

// SetRemote tells what the other side announced: the largest message that it takes,
// and how many requests at once; 0 is no limit.
func (p *Peer) SetRemote(maxMessageBytes int64, maxInFlight int) {
	p.maxMessage.Store(maxMessageBytes)
	p.pending.SetLimit(maxInFlight)
}

// messages keeps the Messages of readers while they wait.
var messages = sync.Pool{New: func() any { return new(wire.Message) }}

// received dispatches a frame. It returns a request whose handler is to run on the reader; nil for none.
func (p *Peer) received(conn transport.Conn, data []byte) *Incoming {
	m := messages.Get().(*wire.Message)
	defer messages.Put(m)
	if err := wire.Parse(data, m); err != nil {
		p.side.Log().Warn().Err(err).Msg("not a frame; connection closed")
		conn.Close(transport.CloseInvalidFrame, "not a frame")
		return nil // the next Read returns why it ended
	}
	p.cfg.Counters.Frames.Add(1)
	if m.Type == wire.Ack && p.sess.Resumable() {
		p.acknowledged(conn, m)
		return nil
	}
	if m.Type.Counted() {
		p.sess.Received(len(data))
	}
	return p.dispatch(m)
}

// acknowledged notes how many frames the other side has received. If it claims more than were sent, it has lost count,
// and the session ends.
func (p *Peer) acknowledged(conn transport.Conn, m *wire.Message) {
	if m.Err != nil {
		p.cfg.Counters.Malformed.Add(1)
		return
	}
	if err := p.sess.Ack(m.Received); errors.Is(err, session.ErrCount) {
		p.side.Log().Warn().Err(err).Uint64("received", m.Received).Msg("session ended")
		p.End(err)
		conn.Close(transport.CloseInvalidFrame, "more acknowledged than was sent")
	}
}

// End ends the session: what waits for an answer fails with DISCONNECTED and a
// truthful sent, handlers' contexts end. It does not wait; see Wait.
func (p *Peer) End(cause error) {
	if cause == nil {
		cause = session.ErrEnded
	}
	p.mu.Lock()
	if !p.ended && p.cfg.Running != nil {
		for in := range p.handlersLocked() {
			if in.handler { // a forwarded request ends with the session
				in.outlives = true
				p.cfg.Running.Add(1)
			}
		}
	}
	p.ended = true
	if p.unwatch != nil {
		p.unwatch()
	}
	p.mu.Unlock()
	p.sess.End(cause)
	p.pending.Close(endedError{cause})
	lost := "the caller's connection was lost"
	if ce, ok := errors.AsType[*transport.CloseError](cause); ok { // any other cause may have addresses in it
		lost += ": " + ce.Error()
	}
	p.cancelAll(&call.Error{Code: call.CodeAborted, Message: lost, Cause: context.Canceled})
}

// handlersLocked yields the requests whose handlers have not returned.
func (p *Peer) handlersLocked() iter.Seq[*Incoming] {
	return func(yield func(*Incoming) bool) {
		for _, in := range p.late {
			if !yield(in) {
				return
			}
		}
		for _, in := range p.inbound {
			if !yield(in) {
				return
			}
		}
	}
}

// cancelAll ends the contexts of all handlers.
func (p *Peer) cancelAll(cause error) {
	p.mu.Lock()
	all := slices.Collect(p.handlersLocked())
	p.mu.Unlock()
	for _, in := range all {
		in.cancel(cause)
	}
}

// watchLocked ensures that the end of ctx ends the handler's context.
func (p *Peer) watchLocked(in *Incoming) {
	if p.ctx.Err() != nil {
		in.ctx.cancel(context.Cause(p.ctx))
		return
	}
	if p.unwatch == nil {
		p.unwatch = func() bool { return false }
		if p.ctx.Done() != nil {
			p.unwatch = context.AfterFunc(p.ctx, func() { p.cancelAll(context.Cause(p.ctx)) })
		}
	}
}

// Wait returns when all handlers and the session's goroutines have ended.
func (p *Peer) Wait() {
	p.wg.Wait()
	p.sess.Wait()
}

// Done is closed when the session has ended.
func (p *Peer) Done() <-chan struct{} { return p.sess.Done() }

// InFlight is how many requests made here have not ended, and whether no more
// may be made now.
func (p *Peer) InFlight() (n int, full bool) { return p.pending.Load() }

// Serving is how many requests are being served.
func (p *Peer) Serving() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.inbound)
}

// Session gives the session.
func (p *Peer) Session() *session.Session { return p.sess }

// Post sends a control frame that is counted; see [session.Session.AppendControl]. It keeps frame.
func (p *Peer) Post(frame []byte) error {
	return p.sess.AppendControl(session.Control, session.Shared(frame))
}

// PostDrain sends the __drain of a hub, which is not counted.
func (p *Peer) PostDrain(retryAfterMillis int64) error {
	return p.sess.AppendControl(session.Uncounted, session.Shared(wire.AppendDrain(nil, retryAfterMillis)))
}

// PostBare sends a control frame without a payload that is not counted; see [session.Uncounted].
func (p *Peer) PostBare(t wire.Type) error {
	b := session.NewBuffer(0)
	b.B = wire.AppendBare(b.B, t)
	return p.sess.AppendControl(session.Uncounted, b)
}

// Idle waits until nothing is in flight in either direction and everything has
// been written, the context ends or the session does.
func (p *Peer) Idle(ctx context.Context) error {
	if err := p.Quiet(ctx); err != nil {
		return err
	}
	return p.sess.Flush(ctx)
}

// Quiet waits until nothing is in flight in either direction, the context ends or the session does.
func (p *Peer) Quiet(ctx context.Context) error {
	for {
		for _, quiet := range []<-chan struct{}{p.pending.Empty(), p.served()} {
			select {
			case <-quiet:
			case <-p.Done():
				return p.sess.Cause()
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if !p.Busy() {
			return nil
		}
	}
}

// RoundTrip waits until the other side has read what has been sent so far, and this side what the other had sent by
// then: it sends __ping until a __pong comes, which a heartbeat may bring early. It returns at once if there is no
// connection and nothing in flight.
func (p *Peer) RoundTrip(ctx context.Context) error {
	for p.sess.Attached() || p.Busy() {
		p.mu.Lock()
		if p.pong == nil {
			p.pong = make(chan struct{})
		}
		pong := p.pong
		p.mu.Unlock()
		if err := p.PostBare(wire.Ping); err != nil {
			return err
		}
		again := time.NewTimer(time.Second) // if the connection was lost, on the next
		select {
		case <-pong:
			again.Stop()
			return nil
		case <-again.C:
		case <-p.Done():
			again.Stop()
			return p.sess.Cause()
		case <-ctx.Done():
			again.Stop()
			return ctx.Err()
		}
	}
	return nil
}

func (p *Peer) ponged() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pong != nil {
		close(p.pong)
		p.pong = nil
	}
}

// Busy reports whether anything is in flight, in either direction, in a session that has not ended.
func (p *Peer) Busy() bool {
	n, _ := p.InFlight()
	return (n > 0 || p.Serving() > 0) && p.sess.Cause() == nil
}

// served gives a channel that is closed when no request is being served.
func (p *Peer) served() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.quiet == nil {
		p.quiet = make(chan struct{})
	}
	c := p.quiet
	p.quietLocked()
	return c
}

func (p *Peer) quietLocked() {
	if len(p.inbound) == 0 && p.quiet != nil {
		close(p.quiet)
		p.quiet = nil
	}
}

// appendID appends the id of a new request.
func (p *Peer) appendID(dst []byte) []byte {
	return strconv.AppendUint(append(dst, p.cfg.IDPrefix...), p.nextID.Add(1), 36)
}

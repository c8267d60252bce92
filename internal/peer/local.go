package peer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/internal/wire"
)

// Local serves the calls that a program makes to handlers of its own, under the contract that holds over a
// connection: a handler runs on a goroutine of its own, the call ends when its time is up or its caller leaves even if the
// handler ignores its context, a panic and a Goexit answer EXECUTION_ERROR, and a unary call takes the first answer.
type Local struct {
	Log      zerolog.Logger
	Counters *Counters
	// MaxDepth bounds the nesting of the values that handlers answer; 0 is wire.DefaultMaxDepth.
	MaxDepth int

	mu    sync.Mutex // guards the fields below
	calls map[*localCall]struct{}
	quiet chan struct{} // closed when no handler runs; nil while nothing waits for that
}

// localCall is one call. Its handler runs on one goroutine and its caller waits on another.
type localCall struct {
	in      Incoming    // without a peer
	depth   int         // the nesting that its caller takes in a value
	bad     *call.Error // for a value that cannot be sent; the handler's goroutine's
	begun   bool        // the caller has taken an answer; the handler's goroutine's
	answers chan call.Envelope
	done    chan struct{} // closed when the handler has returned
	err     error         // what it returned, for the caller; set before done is closed
}

// Call runs the handler and hands its answers to send, on the caller's goroutine. An error of send is returned as it is.
func (l *Local) Call(ctx context.Context, req *call.Request, h call.Handler, send func(call.Envelope) error) error {
	left := Remaining(ctx, req)
	if left < 0 {
		return ContextError(ctx, false)
	}
	c := &localCall{depth: cmp.Or(l.MaxDepth, wire.DefaultMaxDepth), answers: make(chan call.Envelope), done: make(chan struct{})}
	c.in.Request = *req
	c.in.Request.ID = uuid.NewString()
	if c.in.Request.OriginID == "" {
		c.in.Request.OriginID = c.in.Request.ID
	}
	c.in.ctx.parent, c.in.ctx.in = ctx, &c.in
	c.in.setParent(IncomingFrom(ctx))
	if left > 0 {
		c.in.ctx.deadline = time.Now().Add(left)
	}
	l.enter(c)
	go l.run(c, h) // Idle waits for it
	defer c.leave()
	return c.wait(ctx, send)
}

// localEnvelope returns the envelope of a value that a handler of this program computed.
func localEnvelope(operation string, data json.RawMessage) call.Envelope {
	meta := wire.AppendLocalMeta(make([]byte, 0, 64+len(operation)), operation, time.Now())
	return call.Envelope{Data: data, Meta: meta}
}

// leave ends the context of a handler whose caller has gone without an answer.
func (c *localCall) leave() {
	if !c.in.ended.Swap(true) {
		c.in.ctx.cancel(&call.Error{Code: call.CodeAborted, Message: "the caller canceled", Sent: true, Cause: context.Canceled})
	}
}

// wait hands on the answers until the call has ended.
func (c *localCall) wait(ctx context.Context, send func(call.Envelope) error) error {
	stream := c.in.Request.Stream
	var silence <-chan time.Time
	var timer *time.Timer
	if idle := c.in.Request.IdleTimeout; stream && idle > 0 {
		timer = time.NewTimer(idle)
		defer timer.Stop()
		silence = timer.C
	}
	for {
		var e call.Envelope
		select {
		case e = <-c.answers:
		case <-c.done:
			if c.err != nil || stream {
				return c.err
			}
			e = localEnvelope(c.in.Request.Operation, nil)
		case <-silence:
			return &call.Error{Code: call.CodeTimeout, Sent: true, Cause: context.DeadlineExceeded,
				Message: "the handler of " + c.in.Request.Operation + " sent no response within the call's idle timeout"}
		case <-ctx.Done():
			return ContextError(ctx, true)
		case <-c.in.ctx.Done(): // also when the handler has returned
			select {
			case <-c.done:
				continue
			default:
				return c.ended()
			}
		}
		if !stream {
			c.in.ended.Store(true) // the handler may continue; its context lives until its deadline
			return send(e)
		}
		if err := send(e); err != nil {
			return err
		}
		if timer != nil {
			timer.Reset(c.in.Request.IdleTimeout)
		}
	}
}

// ended is why the handler's context ended while its caller waits.
func (c *localCall) ended() error {
	e := ContextError(&c.in.ctx, true)
	if e.Code == call.CodeTimeout {
		e.Message = "the handler of " + c.in.Request.Operation + " did not answer within the call's timeout"
	}
	return e
}

// run serves the call to its end.
func (l *Local) run(c *localCall, h call.Handler) {
	returned := false
	defer func() {
		if !returned {
			c.err = panicked(&l.Log, l.Counters, &c.in.Request, recover())
		}
		close(c.done)
		c.in.ctx.cancel(nil)
		l.exit(c)
	}()
	l.Counters.Served.Add(1)
	err := h(&c.in.ctx, &c.in.Request, c.send)
	if e := HandlerError(&c.in.ctx, err); e != nil {
		e.Sent = e.Sent || c.begun
		c.err = checkError(c.in.Request.Operation, e, c.depth)
	}
	if c.bad != nil {
		c.err = c.bad
	}
	returned = true
}

// send hands one answer to the caller and waits until it is taken.
func (c *localCall) send(e call.Envelope) error {
	if !c.in.Request.Stream && c.in.ended.Load() {
		return errOver
	}
	if bad := checkEnvelope(c.in.Request.Operation, e, c.depth); bad != nil {
		if !c.in.Request.Stream || !errors.Is(bad, jsonscan.ErrTooDeep) { // see Incoming.refuseValue
			c.bad = bad
			c.in.ctx.cancel(bad)
		}
		return bad
	}
	if e.Meta == nil {
		e = localEnvelope(c.in.Request.Operation, e.Data)
	}
	select {
	case c.answers <- e:
		c.begun = true
		if !c.in.Request.Stream {
			c.in.ended.Store(true)
		}
		return nil
	case <-c.in.ctx.Done():
		return context.Cause(&c.in.ctx)
	}
}

func (l *Local) enter(c *localCall) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calls == nil {
		l.calls = make(map[*localCall]struct{})
	}
	l.calls[c] = struct{}{}
}

func (l *Local) exit(c *localCall) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.calls, c)
	if len(l.calls) == 0 && l.quiet != nil {
		close(l.quiet)
		l.quiet = nil
	}
}

// Busy reports whether a handler runs.
func (l *Local) Busy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.calls) > 0
}

// Idle waits until no handler runs, also of a call whose caller has left, or ctx ends.
func (l *Local) Idle(ctx context.Context) error {
	l.mu.Lock()
	if len(l.calls) == 0 {
		l.mu.Unlock()
		return nil
	}
	if l.quiet == nil {
		l.quiet = make(chan struct{})
	}
	quiet := l.quiet
	l.mu.Unlock()
	select {
	case <-quiet:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// CancelStreams does what [Peer.CancelStreams] does.
func (l *Local) CancelStreams(cause *call.Error) { l.cancel(cause, (*Incoming).endsWithGrace) }

// CancelAll ends the contexts of all handlers, and with them their calls.
func (l *Local) CancelAll(cause error) { l.cancel(cause, func(*Incoming) bool { return true }) }

func (l *Local) cancel(cause error, which func(*Incoming) bool) {
	l.mu.Lock()
	var all []*localCall
	for c := range l.calls {
		if which(&c.in) {
			all = append(all, c)
		}
	}
	l.mu.Unlock()
	for _, c := range all {
		c.in.ctx.cancel(cause)
	}
}

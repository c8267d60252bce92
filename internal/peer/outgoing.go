package peer

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/callcore"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/pending"
)

// Outgoing is a request that was sent from here: for a [Sink], which waits for its answers with Next, or, if it is relayed,
// for in, to which the readers that bring the answer pass it on.
type Outgoing struct {
	peer      *Peer
	wait      pending.Request
	pos       session.Position
	operation string
	id        [32]byte // room for the id; not changed once the request is pending
	stream    bool
	credit    grants
	ran       bool // a response has come, so the handler's code has run whatever its error says
	withdrawn bool // it never left

	in    *Incoming  // nil if it is not relayed
	setup sync.Mutex // held until a relayed request is complete
	over  bool       // guarded by setup; who sets it decides how the relayed request ends
}

// Open sends a request and returns what waits for its answers: with window responses of a stream on their way at most, 0
// for the default. ctx bounds the wait for room in the queue. The error is a *call.Error.
func (p *Peer) Open(ctx context.Context, req *call.Request, window int) (*Outgoing, error) {
	o := new(Outgoing)
	if req.Stream {
		o.credit.init(window, unlimited)
	}
	if err := p.open(ctx, o, req); err != nil {
		return nil, err
	}
	return o, nil
}

// open sends a request as o, which is zero but for its credit.
func (p *Peer) open(ctx context.Context, o *Outgoing, req *call.Request) error {
	timeout := Remaining(ctx, req)
	if timeout < 0 {
		return ContextError(ctx, false)
	}
	if e := CheckRequest(req, p.MaxDepth()); e != nil {
		return e
	}
	made := IncomingFrom(ctx)
	made.yield()
	b, err := o.enter(p, req, timeout, made)
	if err != nil {
		return err
	}
	pos, ok, ready := p.sess.TryAppend(session.Request, b, nil)
	if !ok {
		if pos, err = p.sess.Append(ctx, session.Request, b, timeout, nil); err != nil {
			o.wait.Drop()
			return p.notSent(ctx, err)
		}
	}
	o.pos = pos
	p.cfg.Counters.Calls.Add(1)
	if ready {
		runtime.Gosched() // other callers append meanwhile, and their requests are written in the same system call
		p.sess.FlushReady()
	}
	return nil
}

// enter makes the request pending at p and returns its frame. owner is the request whose handler makes it, or that is
// passed on; nil for none. After an error it is not pending.
func (o *Outgoing) enter(p *Peer, req *call.Request, timeout time.Duration, owner *Incoming) (*session.Buffer, error) {
	o.peer, o.operation, o.stream = p, req.Operation, req.Stream
	opts := pending.Options{Stream: req.Stream, Credit: o.credit.initial(), Timeout: timeout, IdleTimeout: req.IdleTimeout}
	if owner != nil { // or Owner would be a nil pointer that is not nil
		opts.Owner = owner
	}
	if o.in != nil {
		opts.Taker = o
	}
	id := text(p.appendID(o.id[:0]))
	switch err := p.pending.Enter(&o.wait, id, opts); {
	case errors.Is(err, pending.ErrFull):
		return nil, p.Full()
	case err != nil:
		return nil, p.disconnected(err, false)
	}
	b := session.NewBuffer(len(req.Input) + len(req.Metadata))
	b.B = AppendRequest(b.B, id, req, timeout, o.credit.initial())
	if e := p.oversize(b); e != nil {
		o.wait.Drop()
		return nil, e
	}
	return b, nil
}

// Remaining is the time that a call has from now on: 0 is no limit, negative is
// over.
func Remaining(ctx context.Context, req *call.Request) time.Duration {
	timeout := callcore.Timeout(req.Timeout, req.Stream)
	if d, ok := ctx.Deadline(); ok {
		left := time.Until(d)
		if left <= 0 {
			return -1
		}
		if timeout == 0 || left < timeout {
			timeout = left
		}
	}
	if ctx.Err() != nil {
		return -1
	}
	return timeout
}

func (p *Peer) oversize(b *session.Buffer) *call.Error {
	limit := p.maxMessage.Load()
	if limit <= 0 || int64(len(b.B)) <= limit {
		return nil
	}
	e := p.tooLarge(len(b.B), limit)
	b.Free()
	return e
}

// Limit is how many requests the other side takes at the same time; 0 is no limit.
func (p *Peer) Limit() int { return p.pending.Limit() }

// Next gives the next output and waits for it: [io.EOF] when the call is
// complete, else an *call.Error. When ctx ends the other side is told to stop.
func (o *Outgoing) Next(ctx context.Context) ([]byte, error) {
	out, err := o.wait.Next(ctx)
	if err == nil {
		o.ran = true
		o.grant(1, 0)
		return out, nil
	}
	if err == io.EOF { //nolint:errorlint // a lost connection may have io.EOF in its chain, and is no end
		return nil, io.EOF
	}
	e, ok := err.(*call.Error) //nolint:errorlint // what the other side sent, not something in a chain
	if !ok {
		e = o.failed(ctx, err)
	}
	if o.ran && !e.Sent { // what has begun must not begin again elsewhere
		out := *e
		out.Sent = true
		e = &out
	}
	return nil, e
}

func (o *Outgoing) failed(ctx context.Context, err error) *call.Error {
	if u, ok := errors.AsType[*unusable](err); ok {
		return u.of(o.operation)
	}
	if _, ok := errors.AsType[endedError](err); ok {
		return o.peer.disconnected(err, o.peer.sess.Written(o.pos))
	}
	switch {
	case errors.Is(err, pending.ErrOverrun):
		return &call.Error{Code: call.CodeSlowConsumer, Sent: true, Message: "more responses came than the reader takes"}
	case errors.Is(err, pending.ErrTimeout):
		return &call.Error{Code: call.CodeTimeout, Sent: o.Abort("the call's time was up"),
			Message: o.peer.from("did not answer within the call's timeout"), Cause: context.DeadlineExceeded}
	case errors.Is(err, pending.ErrIdleTimeout):
		return &call.Error{Code: call.CodeTimeout, Sent: o.Abort("no response in the idle time"),
			Message: o.peer.from("sent no response within the call's idle timeout"), Cause: context.DeadlineExceeded}
	case errors.Is(err, pending.ErrClosed):
		return &call.Error{Code: call.CodeAborted, Sent: true, Message: "the call was left"}
	default:
		e := ContextError(ctx, false)
		e.Sent = o.Abort(abortReason(e))
		return e
	}
}

// Abort leaves the call: what has not been written is taken back, else the other
// side is told. It reports whether the handler can have run. It is idempotent and does
// nothing to a call that is over.
func (o *Outgoing) Abort(reason string) (sent bool) {
	if o.withdrawn || o.peer.sess.Withdraw(o.pos) {
		o.withdrawn = true
		o.wait.Drop()
		return false
	}
	sent = o.peer.sess.Written(o.pos)
	if o.wait.Leave() {
		o.peer.postAbort(o.wait.ID(), reason)
	}
	return sent
}

// grant notes that the sink has consumed responses and that its ceiling is higher, and sends the handler the credit that is
// due.
func (o *Outgoing) grant(consumed, ceiling int) {
	if o.credit.window == 0 {
		return
	}
	more := o.credit.add(consumed, ceiling)
	if more == 0 || !o.wait.Grant(more) {
		return
	}
	b := session.NewBuffer(0)
	b.B = wire.AppendCredited(b.B, o.wait.ID(), more)
	_ = o.peer.sess.AppendControl(session.Control, b) // fails only when the session has ended
}

// Call makes a unary call and returns its output.
func (p *Peer) Call(ctx context.Context, req *call.Request) ([]byte, error) {
	o, err := p.Open(ctx, req, 0)
	if err != nil {
		return nil, err
	}
	return o.Next(ctx)
}

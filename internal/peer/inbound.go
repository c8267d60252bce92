package peer

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/session"
)

var (
	errCancelled = context.Canceled
	// errOver is what a handler gets that goes on after its call has ended.
	errOver = errors.New("the call is over")
)

// Inbound is a request that is served here. Its methods are for the goroutine
// that serves it.
type Inbound struct {
	// Request is what was asked; it must not be changed.
	Request call.Request
	// Order rises with each request of the connection, in the order of arrival.
	Order  uint64
	peer   *Peer
	ctx    context.Context
	cancel context.CancelCauseFunc
	stop   context.CancelFunc // of the deadline
	ended  bool               // a terminal frame has been made; the serving goroutine's

	// The peer's mu guards the fields below.
	metered  bool
	credit   int
	wake     chan struct{}
	onCredit func(n int)
}

// start makes the context: it ends with the call's time, its abort, and the session.
func (in *Inbound) start() {
	ctx, cancel := context.WithCancelCause(in.peer.ctx)
	in.cancel = cancel
	if t := in.Request.Timeout; t > 0 {
		ctx, in.stop = context.WithTimeoutCause(ctx, t, timeoutError)
	}
	in.ctx = call.NewContext(ctx, &in.Request)
}

var timeoutError = &call.Error{Code: call.CodeTimeout, Message: "the call's time was up", Sent: true,
	Cause: context.DeadlineExceeded}

// run serves the request to its end. A panic, and a Goexit, answer EXECUTION_ERROR.
func (in *Inbound) run() {
	returned := false
	defer func() {
		if in.stop != nil {
			in.stop()
		}
		if !returned {
			in.failed(recover())
		}
		in.cancel(nil)
		if !in.ended { // the session ended while the last frame waited for room
			in.release()
		}
	}()
	err := in.peer.cfg.Serve(in.ctx, in)
	returned = true
	switch {
	case in.ended:
	case err != nil:
		in.fail(err)
	case in.Request.Stream:
		in.finish(appendCompleted(session.NewBuffer().B, in.Request.ID))
	default:
		in.respond(nil)
	}
}

func (in *Inbound) failed(panicked any) {
	in.peer.cfg.Counters.Panics.Add(1)
	in.peer.cfg.Log.Error().Str("operation", in.Request.Operation).Str("request", in.Request.OriginID).
		Str("panic", fmt.Sprint(panicked)).Bytes("stack", debug.Stack()).Msg("handler panicked")
	if !in.ended {
		in.fail(&call.Error{Code: call.CodeExecution, Sent: true, Message: "the handler panicked"})
	}
}

// Send answers with an output as it stands on the wire. It ends a unary request;
// for a stream it waits while the reader has given no credit, and while the log has no room.
func (in *Inbound) Send(output []byte) error {
	if in.ended {
		return errOver
	}
	if !in.Request.Stream {
		return in.respond(output)
	}
	if err := in.takeCredit(); err != nil {
		return err
	}
	return in.push(output)
}

// push sends one response of a stream, credit or not.
func (in *Inbound) push(output []byte) error {
	b := session.NewBuffer()
	b.B = appendResponded(b.B, in.Request.ID, output)
	if e := in.peer.oversize(b); e != nil {
		e.Sent = true
		return e
	}
	_, err := in.peer.sess.Send(in.ctx, b, 0, nil)
	if err != nil && in.ctx.Err() != nil {
		return context.Cause(in.ctx)
	}
	return err
}

func (in *Inbound) respond(output []byte) error {
	b := session.NewBuffer()
	b.B = appendResponded(b.B, in.Request.ID, output)
	if e := in.peer.oversize(b); e != nil {
		e.Sent = true
		in.fail(e)
		return e
	}
	in.finishBuffer(b)
	return nil
}

func (in *Inbound) fail(e *call.Error) {
	b := session.NewBuffer()
	b.B = appendError(b.B, in.Request.ID, e)
	if limit := in.peer.maxMessage.Load(); limit > 0 && int64(len(b.B)) > limit {
		b.B = appendError(b.B[:0], in.Request.ID, &call.Error{Code: e.Code, Sent: e.Sent, Retryable: e.Retryable,
			Message: "the error was too large to send"})
	}
	in.finishBuffer(b)
}

func (in *Inbound) finish(frame []byte) {
	b := session.NewBuffer()
	b.B = append(b.B, frame...)
	in.finishBuffer(b)
}

// finishBuffer sends the terminal frame. It waits for room with the slot held, so
// that one who sends and never reads is held at maxInFlight; the slot is free before the
// frame can be read on the other side.
func (in *Inbound) finishBuffer(b *session.Buffer) {
	in.ended = true
	if _, err := in.peer.sess.Send(context.Background(), b, 0, in.release); err != nil {
		in.release() // the session has ended; nobody is told
	}
}

func (in *Inbound) release() {
	p := in.peer
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inbound[in.Request.ID] == in {
		delete(p.inbound, in.Request.ID)
		p.quietLocked()
	}
}

func (in *Inbound) takeCredit() error {
	for {
		p := in.peer
		p.mu.Lock()
		if !in.metered || in.credit > 0 {
			in.credit--
			p.mu.Unlock()
			return nil
		}
		if in.wake == nil {
			in.wake = make(chan struct{}, 1)
		}
		wake := in.wake
		p.mu.Unlock()
		select {
		case <-wake:
		case <-in.ctx.Done():
			return context.Cause(in.ctx)
		}
	}
}

func (in *Inbound) addCredit(n int) {
	p := in.peer
	p.mu.Lock()
	in.credit += n
	hook := in.onCredit
	if in.wake != nil {
		select {
		case in.wake <- struct{}{}:
		default:
		}
	}
	p.mu.Unlock()
	if hook != nil {
		hook(n)
	}
}

// Handle serves the request with a handler.
func (in *Inbound) Handle(h call.Handler) *call.Error {
	err := h(in.ctx, &in.Request, func(e call.Envelope) error {
		if e.Meta == nil {
			e = call.Local(in.Request.Operation, e.Data, time.Now())
		}
		return in.Send(call.AppendEnvelope(nil, e))
	})
	return call.HandlerError(in.ctx, err)
}

// Context is the request's context.
func (in *Inbound) Context() context.Context { return in.ctx }

package peer

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"

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
	ctx    handlerContext
	cancel context.CancelCauseFunc
	stop   context.CancelFunc // of the deadline
	ended  atomic.Bool        // a terminal frame has been made

	// The peer's mu guards the fields below.
	metered  bool
	credit   int
	wake     chan struct{}
	onCredit func(n int)
}

// handlerContext carries the request; it is part of the Inbound to save the
// allocations of context.WithValue.
type handlerContext struct {
	context.Context
	req *call.Request
}

// Value gives the request for package call's key, like a context of call.NewContext.
func (c *handlerContext) Value(key any) any {
	if call.IsContextKey(key) {
		return c.req
	}
	return c.Context.Value(key)
}

// start makes the context: it ends with the call's time, its abort, and the session.
func (in *Inbound) start() {
	ctx, cancel := context.WithCancelCause(in.peer.ctx)
	in.cancel = cancel
	if t := in.Request.Timeout; t > 0 {
		ctx, in.stop = context.WithTimeoutCause(ctx, t, timeoutError)
	}
	in.ctx = handlerContext{ctx, &in.Request}
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
		if !in.ended.Load() { // the session ended while the last frame waited for room
			in.release()
		}
	}()
	err := in.peer.cfg.Serve(&in.ctx, in)
	returned = true
	switch {
	case in.ended.Load():
	case err != nil:
		in.fail(err)
	case in.Request.Stream:
		b := session.NewBuffer()
		b.B = appendCompleted(b.B, in.Request.ID)
		in.finish(b)
	default:
		_ = in.Send(nil) // null always fits
	}
}

func (in *Inbound) failed(panicked any) {
	in.peer.cfg.Counters.Panics.Add(1)
	in.peer.cfg.Log.Error().Str("operation", in.Request.Operation).Str("request", in.Request.OriginID).
		Str("panic", fmt.Sprint(panicked)).Bytes("stack", debug.Stack()).Msg("handler panicked")
	if !in.ended.Load() {
		in.fail(&call.Error{Code: call.CodeExecution, Sent: true, Message: "the handler panicked"})
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
			return context.Cause(&in.ctx)
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

// Context is the request's context.
func (in *Inbound) Context() context.Context { return &in.ctx }

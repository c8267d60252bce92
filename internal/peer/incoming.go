package peer

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/internal/wire"
)

// Incoming is a request that arrived. Its methods are for the goroutine that serves it.
//
//	           relayed ─────────────────────┐
//	          ╱      │ it has not run       │ answer, error, abort
//	admitted ◄       ▼                      ▼      the handler returns
//	          ╲────► served ──────────► answered ────────────────────► returned
//	                        last frame
//
// It has a slot, and is found by its id, until its last frame is in the queue. A handler that continues after that is found
// by the end of its session until it returns.
type Incoming struct {
	// Request is what was asked; it must not be changed.
	Request call.Request
	// Order rises with each request of the connection, in the order of arrival.
	Order uint64
	// Allowed is for the owner of the peer: that Relay has permitted the request, so that Serve need not ask.
	Allowed bool

	// Set before it is visible to other goroutines.
	peer *Peer
	ctx  handlerContext
	// parent is the nearest request above that had not ended when this one, or one below it, arrived.
	parent atomic.Pointer[Incoming]

	ended atomic.Bool // a terminal frame has been made
	left  atomic.Bool // its caller has left

	// Set before run begins.
	pace    *pace       // of its operation; nil where no handler runs on the reader
	reader  *reader     // on which its handler begins; nil for none
	started time.Time   // when that was
	tried   *Peer       // where Relay has failed; nil if it has not
	why     *call.Error // how it failed

	runs      bool        // run has begun; the goroutine's that runs it, which also makes the last frame then
	unwritten atomic.Bool // the reader is to write its last frame

	// The peer's mu guards the fields below.
	handler  bool      // a handler of this program has begun
	outlives bool      // that handler was running when the session ended
	late     int       // its place in the peer's late, from 1; 0: not there
	credit   allowance // of a stream
	out      *Outgoing // as what it is relayed, or forwarded if it is a stream; nil if it is not
}

// start makes the context.
func (in *Incoming) start(now time.Time) {
	in.ctx.parent, in.ctx.in = in.peer.ctx, in
	if t := in.Request.Timeout; t > 0 {
		in.ctx.deadline = now.Add(t)
	}
}

// cancel ends the context, and the call where it is relayed.
func (in *Incoming) cancel(cause error) {
	in.ctx.cancel(cause)
	in.peer.mu.Lock()
	out := in.out
	in.peer.mu.Unlock()
	if out != nil && out.in != nil {
		out.abort()
	}
}

// run serves the request to its end. A panic, and a Goexit, answer EXECUTION_ERROR.
func (in *Incoming) run() {
	defer in.peer.wg.Done()
	in.runs = true
	returned := false
	defer func() {
		if !returned {
			e := panicked(in.peer.side.Log(), in.peer.cfg.Counters, &in.Request, recover())
			if !in.ended.Load() {
				in.fail(e)
			}
		}
		in.ctx.cancel(nil)
		in.returned()
	}()
	start := in.started
	if in.pace != nil && start.IsZero() {
		start = time.Now()
	}
	err := in.peer.side.Serve(&in.ctx, in)
	returned = true
	if in.pace != nil {
		in.pace.took(time.Since(start))
	}
	switch {
	case in.ended.Load():
	case err != nil:
		LogFailed(in.peer.side.Log(), &in.Request, err)
		in.fail(err)
	case in.Request.Stream:
		b := session.NewBuffer(0)
		b.B = wire.AppendCompleted(b.B, in.Request.ID)
		in.finish(b)
	default:
		_ = in.Send(nil) // null always fits
	}
}

// Appended implements [session.Appended]: the terminal frame is in the queue.
func (in *Incoming) Appended() { in.release() }

// release frees the slot. A handler that has answered and continues is known to the peer until it returns, so that its
// context ends with the session.
func (in *Incoming) release() {
	p := in.peer
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inbound[in.Request.ID] != in {
		return
	}
	delete(p.inbound, in.Request.ID)
	p.countServing(-1)
	p.quietLocked()
	if in.runs {
		p.late = append(p.late, in)
		in.late = len(p.late)
	}
}

// returned says that the handler is over.
func (in *Incoming) returned() {
	p := in.peer
	p.mu.Lock()
	defer p.mu.Unlock()
	if in.outlives {
		p.cfg.Running.Add(-1)
	}
	if in.late == 0 {
		return
	}
	end := len(p.late) - 1
	last := p.late[end]
	p.late[in.late-1], p.late[end] = last, nil
	p.late, last.late = p.late[:end], in.late
	in.late = 0
}

// Context implements [Sink]: the request's context.
func (in *Incoming) Context() context.Context { return &in.ctx }

package peer

import (
	"context"
	"sync"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/pending"
)

// relay is a unary request on its way through a hub, without a goroutine: the caller's reader sends it on, and
// the answer goes back on the reader that brings it. What cannot go on so easily is left to a
// goroutine, which serves the request as if it had just come.
//
//	          answer, final error, abort, time up
//	relayed ──────────────────────────────────────► answered
//	   │ error after which another may help
//	   └──────────────────────────────────────────► served (Incoming.run)
type relay struct {
	in    *Incoming
	out   Outgoing
	again func(*call.Error) bool
	setup sync.Mutex // held until out is complete
	over  bool       // guarded by setup; whoever sets it decides how the call ends
}

// Relay passes a unary request on as req, from [Side.Route]. It is false, and nothing has happened, where that cannot be
// done without waiting. After an error for which again is true, and which says that the handler has not
// run, the request is served after all, and [Incoming.Tried] tells.
func (in *Incoming) Relay(to *Peer, req *call.Request, again func(*call.Error) bool) bool {
	timeout := Remaining(&in.ctx, req)
	if timeout < 0 || CheckRequest(req, to.MaxDepth()) != nil {
		return false
	}
	r := &relay{in: in, again: again}
	r.setup.Lock()
	defer r.setup.Unlock()
	r.out.peer, r.out.operation = to, req.Operation
	id := to.newID()
	if to.pending.Enter(&r.out.wait, id, pending.Options{Timeout: timeout, Done: r.done, Owner: in}) != nil {
		return false
	}
	b := session.NewBuffer()
	b.B = appendRequest(b.B, id, req, timeout, -1)
	if to.oversize(b) != nil {
		r.giveUp()
		return false
	}
	in.peer.mu.Lock()
	in.relay = r
	in.peer.mu.Unlock()
	pos, ok, ready := to.sess.TryAppend(session.Request, b, nil)
	if !ok {
		b.Free()
		r.giveUp()
		return false
	}
	r.out.pos = pos
	to.cfg.Counters.Calls.Add(1)
	if ready {
		in.peer.outbox.add(to.sess)
	}
	if in.ctx.Err() != nil { // before there was a relay to abort
		go r.abort()
	}
	return true
}

// giveUp leaves the request to be served. A concurrent end waits in claim, and finds the relay over.
func (r *relay) giveUp() {
	r.out.wait.Drop()
	in := r.in
	in.peer.mu.Lock()
	in.relay = nil
	in.peer.mu.Unlock()
	r.over = true
}

// claim is true for the first who ends the call. It waits until Relay has done all that it does.
func (r *relay) claim() bool {
	r.setup.Lock()
	defer r.setup.Unlock()
	first := !r.over
	r.over = true
	return first
}

// done takes the answer, on the reader of the one who gives it; an error may come from elsewhere.
func (r *relay) done(output []byte, err error) {
	if !r.claim() {
		return
	}
	if err == nil {
		r.in.answer(output, r.out.peer)
		return
	}
	e, ok := err.(*call.Error) //nolint:errorlint // what the other side said, not something in a chain
	if !ok {
		e = r.out.failed(context.Background(), err)
	}
	if e.Sent || !r.again(e) {
		r.in.refuse(e)
		return
	}
	r.in.peer.mu.Lock()
	r.in.relay, r.in.tried, r.in.why = nil, r.out.peer, e
	r.in.peer.mu.Unlock()
	go r.in.run()
}

// abort ends the call with the error of its context.
func (r *relay) abort() {
	if !r.claim() {
		return
	}
	e := call.ContextError(&r.in.ctx, false)
	e.Sent = r.out.Abort(e.Message)
	r.in.refuse(e)
}

// Tried is the peer at which Relay has failed, and how; nil if it has not.
func (in *Incoming) Tried() (*Peer, *call.Error) { return in.tried, in.why }

// answer ends a relayed request with the output that the reader of from delivers, and which runs it. It does
// not wait.
func (in *Incoming) answer(output []byte, from *Peer) {
	if err := jsonscan.TooDeep(from.depth, in.peer.MaxDepth()); err != nil {
		in.refuse(in.outputTooDeep(err))
		return
	}
	b := session.NewBuffer()
	b.B = wire.AppendResponded(b.B, in.Request.ID, output)
	if e := in.peer.oversize(b); e != nil {
		e.Sent = true
		in.refuse(e)
		return
	}
	in.finishSoon(b, &from.outbox)
	in.abandonIfLeft()
}

// Refuse ends the request with an error, from [Side.Route], which then returns true.
func (in *Incoming) Refuse(e *call.Error) { in.refuse(e) }

// refuse ends a relayed request with an error, without waiting.
func (in *Incoming) refuse(e *call.Error) {
	LogFailed(in.peer.side.Log(), &in.Request, e)
	in.finishSoon(in.errorFrame(e), nil)
}

// finishSoon is finish without waiting: where there is no room a goroutine does that. It ends what admit
// has counted.
func (in *Incoming) finishSoon(b *session.Buffer, o *outbox) {
	p := in.peer
	if in.ended.Swap(true) { // cannot be: a relayed request has no other end
		b.Free()
		p.wg.Done()
		return
	}
	_, ok, ready := p.sess.TryAppend(session.Response, b, in)
	if !ok {
		go func() {
			defer p.wg.Done()
			in.sendLast(b)
		}()
		return
	}
	switch {
	case ready && o != nil:
		o.add(p.sess)
	case ready:
		p.sess.FlushReady()
	}
	p.wg.Done()
}

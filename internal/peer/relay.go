package peer

import (
	"context"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/pending"
)

// A unary request passes through a hub without a goroutine, as an [Outgoing] that is relayed: the caller's reader sends it
// on, and the reader that brings the answer passes it back. Where that would have to wait, the request is served on a
// goroutine.
//
//	          answer, final error, abort, time up
//	relayed ──────────────────────────────────────► answered
//	   │ error of a request that has not run
//	   └──────────────────────────────────────────► served (Incoming.run)

// Relay passes a unary request on as req, from [Side.Route]. It returns false, and nothing has happened, where that cannot be
// done without waiting. If it ends with an error and has not run, [Side.Serve] gets the request; see [Incoming.Tried].
func (in *Incoming) Relay(to *Peer, req *call.Request) bool {
	timeout := Remaining(&in.ctx, req)
	if timeout < 0 || CheckRequest(req, to.MaxDepth()) != nil {
		return false
	}
	o := &Outgoing{in: in}
	o.setup.Lock()
	defer o.setup.Unlock()
	b, err := o.enter(to, req, timeout, in)
	if err != nil {
		o.over = true
		return false
	}
	in.setOut(o)
	pos, ok, ready := to.sess.TryAppend(session.Request, b, nil)
	if !ok {
		b.Free()
		o.wait.Drop()
		o.over = true // an end at this moment waits in claim, and finds that
		in.setOut(nil)
		return false
	}
	o.pos = pos
	to.cfg.Counters.Calls.Add(1)
	if ready {
		in.peer.unflushed.add(to.sess)
	}
	if in.ctx.Err() != nil { // it ended before it could abort o
		go o.abort()
	}
	return true
}

func (in *Incoming) setOut(o *Outgoing) {
	in.peer.mu.Lock()
	in.out = o
	in.peer.mu.Unlock()
}

// claim returns true to the first that ends a relayed request. It waits until Relay has done all that it does.
func (o *Outgoing) claim() bool {
	o.setup.Lock()
	defer o.setup.Unlock()
	first := !o.over
	o.over = true
	return first
}

var _ pending.Taker = (*Outgoing)(nil)

// Take implements [pending.Taker], for a relayed request. An answer comes on the reader of the other peer, an error also
// from elsewhere.
func (o *Outgoing) Take(output []byte, err error) {
	if !o.claim() {
		return
	}
	if err == nil {
		o.in.answer(output, o.peer)
		return
	}
	e, ok := err.(*call.Error) //nolint:errorlint // what the other side said, not something in a chain
	if !ok {
		e = o.failed(context.Background(), err)
	}
	if e.Sent {
		o.in.Refuse(e)
		return
	}
	o.in.peer.mu.Lock()
	o.in.out, o.in.tried, o.in.why = nil, o.peer, e
	o.in.peer.mu.Unlock()
	go o.in.run()
}

// abort ends a relayed request with the error of its context.
func (o *Outgoing) abort() {
	if !o.claim() {
		return
	}
	e := ContextError(&o.in.ctx, false)
	e.Sent = o.Abort(e.Message)
	o.in.Refuse(e)
}

// Tried returns the peer at which Relay has failed, and how; nil if it has not.
func (in *Incoming) Tried() (*Peer, *call.Error) { return in.tried, in.why }

// answer ends a relayed request with the output that the reader of from delivers, and which runs it. It does not wait.
func (in *Incoming) answer(output []byte, from *Peer) {
	b, e := in.responseFrom(from, output)
	if e != nil {
		in.Refuse(e)
		return
	}
	in.finishSoon(b, &from.unflushed)
}

// Refuse ends the request with an error, without waiting; from [Side.Route], which then returns true.
func (in *Incoming) Refuse(e *call.Error) {
	LogFailed(in.peer.side.Log(), &in.Request, e)
	in.finishSoon(in.errorFrame(e), nil)
}

// finishSoon is finish without waiting, for a request that has no handler: where there is no room a goroutine waits. u is the
// caller's if it is a reader, otherwise nil. finishSoon ends what admit has counted.
func (in *Incoming) finishSoon(b *session.Buffer, u *unflushed) {
	p := in.peer
	in.ended.Store(true)
	_, ok, ready := p.sess.TryAppend(session.Response, b, in)
	if !ok {
		go func() {
			defer p.wg.Done()
			in.sendLast(b)
		}()
		return
	}
	defer p.wg.Done()
	switch {
	case ready && u != nil:
		u.add(p.sess)
	case ready:
		p.sess.FlushReady()
	}
	in.abandonIfLeft()
}

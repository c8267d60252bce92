package peer

import (
	"context"
	"errors"
	"io"

	"github.com/alkdev/hubspoke/call"
)

// Forward passes the request on as req to another peer and its answers back,
// with credit, time and cancellation. It returns how it ended; nil when the
// answers have all been passed on.
func (in *Incoming) Forward(to *Peer, req *call.Request) *call.Error {
	var f Flow
	if req.Stream {
		f = newFlow(0, in.ceiling())
	}
	o, err := to.Open(&in.ctx, req, f)
	if err != nil {
		return to.asError(err)
	}
	if req.Stream {
		in.passCredit(o)
	}
	for {
		output, err := o.Next(&in.ctx)
		if err == io.EOF { //nolint:errorlint // a lost connection may have io.EOF in its chain, and is no end
			return nil
		}
		if err != nil {
			return to.asError(err)
		}
		if !in.Request.Stream {
			_ = in.Send(output) // a response that is too large has been answered with the error
			return nil
		}
		if err := in.pass(output); err != nil {
			e := in.peer.asError(err)
			o.Abort(abortReason(e))
			return e
		}
	}
}

// ceiling is how many responses the caller takes so far.
func (in *Incoming) ceiling() int {
	in.peer.mu.Lock()
	defer in.peer.mu.Unlock()
	if !in.metered {
		return unlimited
	}
	return in.credit
}

// passCredit hands on what the caller has given since, and all that it will give.
func (in *Incoming) passCredit(o *Outgoing) {
	in.peer.mu.Lock()
	more := 0
	if in.metered {
		more = in.credit - o.flow.ceiling
	}
	in.onCredit = o.raise
	in.peer.mu.Unlock()
	if more > 0 {
		o.raise(more)
	}
}

// asError returns the error of a call whose session with this peer failed with err.
func (p *Peer) asError(err error) *call.Error {
	if e, ok := errors.AsType[*call.Error](err); ok {
		return e
	}
	if errors.Is(err, context.Canceled) { // the end of this program's context; the others' come as *call.Error
		return &call.Error{Code: call.CodeAborted, Message: err.Error(), Sent: true, Cause: err}
	}
	return p.disconnected(err, true)
}

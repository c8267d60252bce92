package peer

import (
	"context"
	"errors"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/internal/wire"
)

// Handle serves the request with a handler of this program. It does not call the handler if the session has ended.
func (in *Incoming) Handle(h call.Handler) *call.Error {
	if !in.begin() {
		return &call.Error{Code: call.CodeAborted, Message: "the session ended before the handler began"}
	}
	err := h(&in.ctx, &in.Request, func(e call.Envelope) error {
		if e := checkEnvelope(in.Request.Operation, e, in.peer.MaxDepth()); e != nil {
			return in.refuseValue(e)
		}
		b := session.NewBuffer(len(e.Data) + len(e.Meta))
		b.B = wire.AppendRespondedData(b.B, in.Request.ID, e.Data, e.Meta, in.Request.Operation, time.Now())
		return in.send(b)
	})
	return HandlerError(&in.ctx, err)
}

// begin notes that a handler runs. It returns false if the session has ended.
func (in *Incoming) begin() bool {
	in.peer.mu.Lock()
	defer in.peer.mu.Unlock()
	in.handler = !in.peer.ended
	return in.handler
}

// Send answers with an output of this side as it is on the wire; nil is null.
func (in *Incoming) Send(output []byte) error {
	b := session.NewBuffer(len(output))
	b.B = wire.AppendResponded(b.B, in.Request.ID, output)
	return in.send(b)
}

// refuseValue ends the call with the error of a value that cannot be sent, whatever its handler returns. Only the handler
// of a stream decides itself if the value is merely deeper than this receiver accepts, as with one that is too large.
func (in *Incoming) refuseValue(e *call.Error) error {
	if !in.Request.Stream || !errors.Is(e, jsonscan.ErrTooDeep) {
		in.fail(e)
	}
	return e
}

func (in *Incoming) send(b *session.Buffer) error {
	if in.ended.Load() {
		b.Free()
		return errOver
	}
	if !in.Request.Stream {
		return in.respond(b)
	}
	if err := in.takeCredit(); err != nil {
		b.Free()
		return err
	}
	err := in.push(b)
	if err != nil { // nothing was sent, and a handler may go on after one that was too large
		in.addCredit(1)
	}
	return err
}

// pass sends an output that came from another peer. It ends a unary request; for a stream it takes no credit, since the
// handler at the other peer has taken it.
func (in *Incoming) pass(from *Peer, output []byte) error {
	b, e := in.responseFrom(from, output)
	switch {
	case e != nil && in.Request.Stream: // the call at the other peer ends with it, and then this one
		return e
	case e != nil:
		in.fail(e)
		return e
	case in.Request.Stream:
		return in.push(b)
	default:
		return in.respond(b)
	}
}

// responseFrom makes the frame of an output that came from another peer, or the error if the other side does not accept it.
func (in *Incoming) responseFrom(from *Peer, output []byte) (*session.Buffer, *call.Error) {
	if e := in.checkOutput(output, from); e != nil {
		return nil, e
	}
	b := session.NewBuffer(len(output))
	b.B = wire.AppendResponded(b.B, in.Request.ID, output)
	if e := in.oversize(b); e != nil {
		return nil, e
	}
	return b, nil
}

// oversize frees a response that the other side does not accept, and returns its error.
func (in *Incoming) oversize(b *session.Buffer) *call.Error {
	e := in.peer.oversize(b)
	if e != nil {
		e.Sent = true // the handler has run
	}
	return e
}

func (in *Incoming) push(b *session.Buffer) error {
	if in.ctx.Err() != nil { // a queue with room would never say so
		b.Free()
		return context.Cause(&in.ctx)
	}
	if e := in.oversize(b); e != nil {
		return e
	}
	_, err := in.peer.sess.Append(&in.ctx, session.Response, b, 0, nil)
	switch {
	case err == nil:
		in.abandonIfLeft()
	case in.ctx.Err() != nil:
		return context.Cause(&in.ctx)
	}
	return err
}

// respond sends the answer of a unary request.
func (in *Incoming) respond(b *session.Buffer) error {
	if in.left.Load() { // a response would hold up what is behind it
		b.Free()
		in.fail(errLeft)
		return errLeft
	}
	if e := in.oversize(b); e != nil {
		in.fail(e)
		return e
	}
	in.finish(b)
	return nil
}

func (in *Incoming) fail(e *call.Error) { in.finish(in.errorFrame(e)) }

func (in *Incoming) errorFrame(e *call.Error) *session.Buffer {
	return in.peer.errorFrame(in.Request.ID, in.Request.Operation, e)
}

// finish sends the terminal frame, once. It waits for room with the slot held, so
// that one who sends and never reads is held at maxInFlight; the slot is free before the
// frame can be read on the other side.
func (in *Incoming) finish(b *session.Buffer) {
	if in.ended.Swap(true) {
		b.Free()
		return
	}
	in.sendLast(b)
}

// sendLast sends the terminal frame; it may wait for room.
func (in *Incoming) sendLast(b *session.Buffer) {
	if in.answerHere(b) {
		in.abandonIfLeft()
		return
	}
	if _, err := in.peer.sess.Append(context.Background(), session.Response, b, 0, in); err != nil {
		in.release() // the session has ended, and nothing can be sent
		return
	}
	in.abandonIfLeft()
}

// abandon drops the frames that answer a request whose caller has left; open reports whether it is a stream in flight.
// It reports whether there were any.
func (p *Peer) abandon(id string, open bool) bool {
	return p.sess.Abandon(wire.QuotedID(id), open)
}

// abandonIfLeft is for a response that was sent: its caller may have left just before, and what was queued then has been
// dropped without it.
func (in *Incoming) abandonIfLeft() {
	if in.left.Load() {
		in.peer.abandon(in.Request.ID, in.Request.Stream)
	}
}

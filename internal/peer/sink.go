package peer

import (
	"context"
	"io"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/wire"
)

// Sink waits for the answers of a call on a goroutine of its own: a [Caller] of this program, or an [Incoming], which
// passes them on.
type Sink interface {
	// Context returns the context of the call.
	Context() context.Context
	// outgoing returns room for a request to be sent, with the credit of a stream.
	outgoing(stream bool, window int) *Outgoing
	// opened notes that o has been sent.
	opened(o *Outgoing)
	// take takes an answer, which is the sink's. The call has ended if it returns false, or an error.
	take(o *Outgoing, output []byte) (more bool, e *call.Error)
}

// Do makes the call at p for s and returns how it ended: nil when s has all answers, and when s wants no more of them.
func (p *Peer) Do(s Sink, req *call.Request) *call.Error {
	o := s.outgoing(req.Stream, req.Credit)
	if err := p.open(s.Context(), o, req); err != nil {
		return p.asError(err)
	}
	if req.Stream {
		s.opened(o)
	}
	for {
		output, err := o.Next(s.Context())
		if err == io.EOF { //nolint:errorlint // a lost connection may have io.EOF in its chain, and is no end
			return nil
		}
		if err != nil {
			return p.asError(err)
		}
		if more, e := s.take(o, output); !more || e != nil {
			return e
		}
	}
}

// Caller is the program itself, which waits for the answers of its call.
type Caller struct {
	Ctx  context.Context
	Req  call.Request              // room for the copy of the request
	Send func(call.Envelope) error // takes the answers; nil: the one answer is kept in Out
	Out  call.Envelope
	Left error // what Send failed with: the caller wants no more answers

	first Outgoing // room for the first attempt
	begun bool     // first is used
}

// Take takes one answer.
func (c *Caller) Take(e call.Envelope) error {
	if c.Send == nil {
		c.Out = e
		return nil
	}
	return c.Send(e)
}

// Context implements [Sink].
func (c *Caller) Context() context.Context { return c.Ctx }

func (c *Caller) outgoing(stream bool, window int) *Outgoing {
	o := &c.first
	if c.begun {
		o = new(Outgoing)
	}
	c.begun = true
	if stream {
		o.credit.init(window, unlimited)
	}
	return o
}

func (c *Caller) opened(*Outgoing) {}

// take hands an answer to Send. If that panics, or ends its goroutine, the caller has left the call.
func (c *Caller) take(o *Outgoing, output []byte) (more bool, e *call.Error) {
	returned := false
	defer func() {
		if !returned {
			o.Abort("the reader left")
		}
	}()
	data, meta := wire.ParseEnvelope(output)
	c.Left = c.Take(call.Envelope{Data: data, Meta: meta})
	returned = true
	if c.Left != nil {
		o.Abort(c.Left.Error())
		return false, nil
	}
	return o.stream, nil
}

// outgoing implements [Sink]: what the caller has granted so far is the most that is granted here.
func (in *Incoming) outgoing(stream bool, window int) *Outgoing {
	o := new(Outgoing)
	if !stream {
		return o
	}
	ceiling := unlimited
	in.peer.mu.Lock()
	if in.credit.metered {
		ceiling = in.credit.left
	}
	in.peer.mu.Unlock()
	o.credit.init(0, ceiling)
	return o
}

func (in *Incoming) opened(o *Outgoing) { in.passCredit(o) }

// take implements [Sink]: it passes the answer on.
func (in *Incoming) take(o *Outgoing, output []byte) (more bool, e *call.Error) {
	if !in.Request.Stream {
		_ = in.pass(o.peer, output) // an answer that is too large has been answered with the error
		return false, nil
	}
	if err := in.pass(o.peer, output); err != nil {
		e := in.peer.asError(err)
		o.Abort(abortReason(e))
		return false, e
	}
	return true, nil
}

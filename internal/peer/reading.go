package peer

import (
	"context"
	"io"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/wire"
)

// Reading is a call of this program: it hands the answers to the reader.
type Reading struct {
	Ctx  context.Context
	Req  call.Request              // room for the copy of the request
	Send func(call.Envelope) error // the reader; nil: the one answer is kept in Out
	Out  call.Envelope
	Left error // what Send failed with: the reader wants no more

	first Outgoing // room for the first attempt
	begun bool     // first is used
}

// Take hands on one answer.
func (r *Reading) Take(e call.Envelope) error {
	if r.Send == nil {
		r.Out = e
		return nil
	}
	return r.Send(e)
}

// At makes the call at p. It gives nil when the call is over without an error of its own, also where the
// reader has left.
func (r *Reading) At(p *Peer, req *call.Request) *call.Error {
	var flow Flow
	if req.Stream {
		flow = Reader(req.Credit)
	}
	o := &r.first
	if r.begun {
		o = new(Outgoing)
	}
	r.begun = true
	if err := p.open(r.Ctx, o, req, flow); err != nil {
		return p.asError(err)
	}
	for {
		output, err := o.Next(r.Ctx)
		if err == io.EOF { //nolint:errorlint // a lost connection may have io.EOF in its chain, and is no end
			return nil
		}
		if err != nil {
			return p.asError(err)
		}
		if err := r.take(o, output); err != nil {
			o.Abort(err.Error())
			r.Left = err
			return nil
		}
		if !req.Stream {
			return nil
		}
	}
}

// take is Take for an answer as it came. A reader that panics, or ends its goroutine, has left the call.
func (r *Reading) take(o *Outgoing, output []byte) (err error) {
	returned := false
	defer func() {
		if !returned {
			o.Abort("the reader left")
		}
	}()
	data, meta := wire.ParseEnvelope(output)
	err = r.Take(call.Envelope{Data: data, Meta: meta})
	returned = true
	return err
}

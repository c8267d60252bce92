package peer

import (
	"errors"
	"fmt"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/internal/wire"
)

// This file checks values: before they are queued, by the limits of the side that gets them, and
// when they arrive, by this side's own (protocol section 2, decision 023).

// SetMaxDepth notes the nesting that the other side takes in a value; 0 is wire.MaxDepth.
func (p *Peer) SetMaxDepth(n int) { p.maxDepth.Store(int64(n)) }

// MaxDepth is the nesting that the other side takes in a value.
func (p *Peer) MaxDepth() int {
	if n := int(p.maxDepth.Load()); n > 0 && n < wire.MaxDepth {
		return n
	}
	return wire.MaxDepth
}

// CheckRequest checks the values of a request, which are JSON, by a receiver's limit.
func CheckRequest(req *call.Request, maxDepth int) *call.Error {
	if err := jsonscan.CheckDepth(req.Input, maxDepth); err != nil {
		return &call.Error{Code: call.CodeValidation, Message: "the input of " + req.Operation + " " + err.Error(), Cause: err}
	}
	if err := jsonscan.CheckDepth(req.Metadata, maxDepth); err != nil {
		return &call.Error{Code: call.CodeValidation, Message: "the metadata of " + req.Operation + " " + err.Error(), Cause: err}
	}
	return nil
}

// checkEnvelope checks what a handler of this program answers.
func checkEnvelope(operation string, e call.Envelope, maxDepth int) *call.Error {
	bad := func(what string, err error) *call.Error {
		return &call.Error{Code: call.CodeExecution, Sent: true, Cause: err,
			Message: "the " + what + " of " + operation + " " + err.Error()}
	}
	if len(e.Data) > 0 {
		if err := jsonscan.Check(e.Data, maxDepth); err != nil {
			return bad("output", err)
		}
	}
	if len(e.Meta) == 0 {
		return nil
	}
	if err := jsonscan.Check(e.Meta, maxDepth); err != nil {
		return bad("envelope's meta", err)
	}
	if e.Source() == "" {
		return bad("envelope's meta", errNoSource)
	}
	return nil
}

var errNoSource = errors.New("has no source")

// checkError returns e, or the error to be sent instead where its details are no JSON object or
// nested deeper than the receiver takes.
func checkError(operation string, e *call.Error, maxDepth int) *call.Error {
	if len(e.Details) == 0 {
		return e
	}
	err := jsonscan.Check(e.Details, maxDepth)
	if c := jsonscan.Read(e.Details); err == nil && c.Kind() != '{' {
		err = errNotObject
	}
	if err == nil {
		return e
	}
	return &call.Error{Code: call.CodeExecution, Sent: e.Sent, Cause: err,
		Message: fmt.Sprintf("the error details of %s: the JSON %v; the error was %s", operation, err, e.Error())}
}

var errNotObject = errors.New("is not an object")

// checkOutput checks the depth of an output that came from another peer for the other side, as it is on the wire: that of
// the data in its envelope, or of the whole where it is bare. It was checked by this side's limit when it arrived.
func (in *Incoming) checkOutput(output []byte, from *Peer) *call.Error {
	limit := in.peer.MaxDepth()
	if limit >= from.cfg.MaxDepth || len(output)/2 <= limit { // each level has two brackets
		return nil
	}
	data, meta := wire.ParseEnvelope(output)
	err := jsonscan.CheckDepth(data, limit)
	if err == nil {
		err = jsonscan.CheckDepth(meta, limit)
	}
	if err == nil {
		return nil
	}
	return &call.Error{Code: call.CodeExecution, Sent: true, Cause: err,
		Message: "the output of " + in.Request.Operation + " " + err.Error()}
}

// tooDeep reports what is nested deeper in an answer than this side takes.
func (p *Peer) tooDeep(m *wire.Message) error {
	err := jsonscan.TooDeep(m.Depth, p.cfg.MaxDepth)
	switch {
	case err == nil:
		return nil
	case m.Type == wire.Failed:
		return fmt.Errorf("details: the JSON %w", err)
	}
	return fmt.Errorf("the output %w", err)
}

// errorFrame makes the frame of an error that ends a request of the other side.
func (p *Peer) errorFrame(id, operation string, e *call.Error) *session.Buffer {
	b := session.NewBuffer(0)
	b.B = wire.AppendFailed(b.B, id, Failure(checkError(operation, e, p.MaxDepth())), p.maxMessage.Load())
	return b
}

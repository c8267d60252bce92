package peer

import (
	"fmt"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/transport"
)

// This file checks values: before they are queued, by the limits of the side that gets them, and
// when they arrive, by this side's own (protocol section 2, decision 023).

// DefaultMaxDepth is the nesting that a side takes in a value where it announces nothing.
const DefaultMaxDepth = 256

// MaxMaxDepth is the deepest nesting that a side may announce: a frame has 10,000 levels, and frames
// and hub.gather add some around a value.
const MaxMaxDepth = 9900

// errTooDeep is what an error for a value over a receiver's limit has as its cause.
var errTooDeep = jsonscan.ErrTooDeep

// SetMaxDepth notes the nesting that the other side takes in a value; 0 is MaxMaxDepth.
func (p *Peer) SetMaxDepth(n int) { p.maxDepth.Store(int64(n)) }

// MaxDepth is the nesting that the other side takes in a value.
func (p *Peer) MaxDepth() int {
	if n := int(p.maxDepth.Load()); n > 0 && n < MaxMaxDepth {
		return n
	}
	return MaxMaxDepth
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

var errNoSource = fmt.Errorf("has no source")

// checkOutput checks the depth of an output as it is on the wire: that of the data in its envelope,
// or of the whole where it is bare.
func checkOutput(output []byte, maxDepth int) error {
	if !jsonscan.Deeper(output, maxDepth) {
		return nil
	}
	e := call.ParseEnvelope(output)
	if err := jsonscan.CheckDepth(e.Data, maxDepth); err != nil {
		return err
	}
	return jsonscan.CheckDepth(e.Meta, maxDepth)
}

// CheckError returns e, or the error to be sent instead where its details are no JSON object or
// nested deeper than the receiver takes.
func CheckError(operation string, e *call.Error, maxDepth int) *call.Error {
	if len(e.Details) == 0 {
		return e
	}
	err := jsonscan.Check(e.Details, maxDepth)
	if err == nil && !call.IsObject(e.Details) {
		err = errNotObject
	}
	if err == nil {
		return e
	}
	return &call.Error{Code: call.CodeExecution, Sent: e.Sent, Cause: err,
		Message: fmt.Sprintf("the error details of %s: the JSON %v; the error was %s", operation, err, e.Error())}
}

var errNotObject = fmt.Errorf("is not an object")

// outputTooDeep checks an output for the other side; see checkOutput.
func (in *Inbound) outputTooDeep(output []byte) *call.Error {
	err := checkOutput(output, in.peer.MaxDepth())
	if err == nil {
		return nil
	}
	return &call.Error{Code: call.CodeExecution, Sent: true, Cause: err,
		Message: "the output of " + in.Request.Operation + " " + err.Error()}
}

// measured reports whether values in the frame have to be measured by this side's limit.
func (p *Peer) measured(f transport.Frame) bool {
	return f.Deep || p.cfg.MaxDepth < transport.ShallowDepth
}

// tooDeep reports what is nested deeper in an answer than this side takes.
func (p *Peer) tooDeep(typ string, a answer) error {
	switch typ {
	case call.EventResponded:
		if err := checkOutput(a.output, p.cfg.MaxDepth); err != nil {
			return fmt.Errorf("the output %w", err)
		}
	case call.EventError:
		if err := jsonscan.CheckDepth(a.details, p.cfg.MaxDepth); err != nil {
			return fmt.Errorf("details: the JSON %w", err)
		}
	}
	return nil
}

// appendErrorWithin appends a call.error of at most limit bytes, 0 for no limit: it cuts the message, and leaves out
// details that have no room.
func appendErrorWithin(dst []byte, id string, e *call.Error, limit int64) []byte {
	start := len(dst)
	dst = appendError(dst, id, e)
	if limit <= 0 || int64(len(dst)-start) <= limit {
		return dst
	}
	short := *e
	short.Message = ""
	if n := len(e.Details); n > 0 && int64(len(appendError(nil, id, &short))) > limit/2 {
		short.Details = nil
		short.Message = fmt.Sprintf(" (details of %d bytes left out)", n)
	}
	room := limit - int64(len(appendError(nil, id, &short)))
	short.Message = jsonscan.Cut(e.Message, int(max(room, 0))) + short.Message
	return appendError(dst[:start], id, &short)
}

// refusalBytes bounds an error that is answered before the other side has announced what it takes.
const refusalBytes = 32 << 10

// reasonBytes bounds the reason of call.aborted.
const reasonBytes = 1 << 10

// errorFrame makes the frame of an error that ends a request of the other side.
func (p *Peer) errorFrame(id, operation string, e *call.Error) *session.Buffer {
	b := session.NewBuffer()
	b.B = appendErrorWithin(b.B, id, CheckError(operation, e, p.MaxDepth()), p.maxMessage.Load())
	return b
}

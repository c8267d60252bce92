package peer

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/pending"
	"github.com/alkdev/hubspoke/transport"
)

// Control frame types that both ends know (protocol section 7).
const (
	TypePing = "__ping"
	TypePong = "__pong"
	// TypeDrain says that the side that sends it will close.
	TypeDrain = "__drain"
)

// dispatch runs on the reader.
func (p *Peer) dispatch(f transport.Frame) {
	switch f.Type {
	case call.EventRequested:
		p.requested(f)
	case call.EventResponded, call.EventCompleted, call.EventError, call.EventAborted, call.EventCredit:
		a, err := parseAnswer(f.Type, f.Payload)
		if err == nil && p.measured(f) {
			err = p.tooDeep(f.Type, a)
		}
		if err != nil {
			p.malformed(f.Type, a, err)
			return
		}
		p.answered(f.Type, a)
	case TypePing:
		_ = p.Post(TypePong, nil) // fails only when the session has ended
	case TypePong, session.TypeSkip:
	default:
		p.other(f)
	}
}

func (p *Peer) other(f transport.Frame) {
	switch {
	case strings.HasPrefix(f.Type, transport.PrefixControl):
		if p.cfg.Control == nil || !p.cfg.Control(f.Type, f.Payload) {
			p.cfg.Counters.Unknown.Add(1)
		}
	case strings.HasPrefix(f.Type, transport.PrefixCall):
		p.cfg.Counters.Unknown.Add(1)
	case p.measured(f) && jsonscan.Deeper(f.Payload, p.cfg.MaxDepth):
		p.cfg.Counters.Malformed.Add(1)
		if p.cfg.TooDeep != nil {
			p.cfg.TooDeep(f.Type, jsonscan.CheckDepth(f.Payload, p.cfg.MaxDepth))
		}
	case p.cfg.Event != nil:
		p.cfg.Event(f.Type, f.Payload)
	}
}

// unusable ends a request whose answer cannot be used.
type unusable struct {
	what  string // the frame
	sent  bool
	cause error
}

func (u *unusable) Error() string { return "cannot be used: " + u.what + ": " + u.cause.Error() }

// of is the error for the caller of the operation.
func (u *unusable) of(operation string) *call.Error {
	return &call.Error{Code: call.CodeExecution, Sent: u.sent, Cause: u.cause, Message: "the answer of " + operation + " " + u.Error()}
}

// malformed takes an answer that cannot be used: it ends its call, or is only counted. One that names several
// requests ends them all, since the right answers to the others may not come either.
func (p *Peer) malformed(typ string, a answer, err error) {
	p.cfg.Counters.Malformed.Add(1)
	if len(a.id) == 0 || typ != call.EventResponded && typ != call.EventCompleted && typ != call.EventError {
		return
	}
	e := &unusable{what: typ, sent: true, cause: err}
	if typ == call.EventError {
		sentError := call.ParseError(a.payload)
		e.what, e.sent = typ+" "+string(sentError.Code), sentError.Sent
	}
	for _, id := range append(a.others, a.id) {
		switch out := p.pending.Fail(id, e); {
		case out != pending.Unknown && typ == call.EventResponded: // a stream would continue
			p.postAbort(string(id), err.Error())
		case out == pending.Unknown && len(a.others) == 0:
			p.cfg.Counters.Late.Add(1)
		}
	}
}

func (p *Peer) answered(typ string, a answer) {
	var out pending.Outcome
	switch typ {
	case call.EventResponded:
		out = p.pending.Respond(a.id, a.output)
	case call.EventCompleted:
		out = p.pending.Complete(a.id)
	case call.EventError:
		out = p.pending.Fail(a.id, call.ParseError(a.payload))
	case call.EventCredit:
		p.credited(a)
		return
	case call.EventAborted:
		if p.aborted(a) {
			return
		}
		// A peer of the older kind answers an abort with an abort.
		out = p.pending.Fail(a.id, &call.Error{Code: call.CodeAborted, Message: a.reason, Sent: true})
	}
	switch out {
	case pending.Unknown:
		p.cfg.Counters.Late.Add(1)
	case pending.Surplus:
		p.cfg.Counters.Late.Add(1)
		p.postAbort(string(a.id), "the call has its answer")
	case pending.Overrun:
		p.cfg.Counters.SlowStreams.Add(1)
		p.postAbort(string(a.id), "more responses than the reader takes")
	case pending.Delivered:
	}
}

// aborted cancels a request that is served here, and drops the frames that still answer it: no caller waits for them, and they must not hold
// up what is behind them (protocol section 8). It returns false if there is neither.
func (p *Peer) aborted(a answer) bool {
	p.mu.Lock()
	in := p.inbound[string(a.id)]
	p.mu.Unlock()
	if in == nil {
		return p.abandon(string(a.id), false)
	}
	msg, cause := "the caller canceled", errCanceled
	if a.reason != "" {
		msg += ": " + a.reason
	}
	if a.reason == reasonDraining {
		cause = errors.Join(errCanceled, ErrDraining)
	}
	in.left.Store(true)
	in.cancel(&call.Error{Code: call.CodeAborted, Message: msg, Sent: true, Cause: cause})
	in.abandonIfLeft()
	return true
}

func (p *Peer) credited(a answer) {
	p.mu.Lock()
	in := p.inbound[string(a.id)]
	p.mu.Unlock()
	if in == nil {
		p.cfg.Counters.Late.Add(1)
		return
	}
	in.addCredit(a.credit)
}

// requested puts a request into the table and starts its handler. It runs on the
// reader, so that an abort that follows finds the request.
func (p *Peer) requested(f transport.Frame) {
	now := time.Now()
	in := &Inbound{peer: p}
	if p.memo == nil {
		p.memo = &identityMemo{}
	}
	w := wireRequest{req: &in.Request, memo: p.memo}
	err := w.parse(f.Payload, now)
	if err == nil && p.measured(f) {
		if e := CheckRequest(w.req, p.cfg.MaxDepth); e != nil {
			err = errors.New(e.Message)
		}
	}
	if errors.Is(err, errNoID) {
		p.cfg.Counters.Malformed.Add(1)
		return
	}
	if err == nil && !w.told && p.cfg.Streams != nil {
		w.req.Stream = p.cfg.Streams(w.req.Operation)
	}
	if w.req.OriginID == "" {
		w.req.OriginID = w.req.ID
	}
	p.findParent(in)
	in.metered, in.credit = w.req.Stream && w.metered, w.credit
	admitted, refused := p.admit(in, now, err)
	switch {
	case refused != nil:
		p.postError(w.req, refused)
	case !admitted:
	case p.cfg.Relay == nil || in.Request.Stream || !p.cfg.Relay(in):
		go in.run()
	}
}

// admit gives the request a slot, and counts it in the peer's goroutines. The error is for its caller;
// a request under an id in flight is ignored.
func (p *Peer) admit(in *Inbound, now time.Time, bad error) (bool, *call.Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.inbound[in.Request.ID]; ok {
		p.cfg.Counters.Duplicates.Add(1)
		return false, nil
	}
	if bad != nil {
		p.cfg.Counters.Malformed.Add(1)
		return false, &call.Error{Code: call.CodeValidation, Message: "malformed request: " + bad.Error()}
	}
	if p.ended {
		return false, nil // nobody is there to be told
	}
	running := len(p.inbound)
	if p.cfg.Running != nil {
		running += int(p.cfg.Running.Load())
	}
	if running >= p.cfg.MaxInFlight {
		p.cfg.Counters.Overloaded.Add(1)
		return false, &call.Error{Code: call.CodeOverloaded, Retryable: true, Message: p.overloaded()}
	}
	p.cfg.Counters.Served.Add(1)
	if p.inbound == nil {
		p.inbound = make(map[string]*Inbound)
	}
	p.order++
	in.Order = p.order
	p.inbound[in.Request.ID] = in
	p.countServing(1)
	in.start(now)
	p.watchLocked(in)
	p.wg.Add(1)
	return true, nil
}

// overloaded is the message for a request over the limit of this side.
func (p *Peer) overloaded() string {
	this, _ := p.cfg.Ends()
	msg := fmt.Sprintf("%s has too many calls in flight: limit %d", this, p.cfg.MaxInFlight)
	if p.cfg.Limit != "" {
		msg += " (" + p.cfg.Limit + ")"
	}
	return msg
}

func (p *Peer) postError(req *call.Request, e *call.Error) {
	_ = p.sess.Post(p.errorFrame(req.ID, req.Operation, e)) // fails only when the session has ended
}

func (p *Peer) postAbort(id, reason string) {
	b := session.NewBuffer()
	b.B = appendAborted(b.B, id, reason)
	_ = p.sess.Post(b) // fails only when the session has ended
}

package peer

import (
	"context"
	"errors"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/pending"
)

// dispatch runs on the reader. It returns a request whose handler is to run there too; nil for none.
func (p *Peer) dispatch(m *wire.Message) *Incoming {
	switch m.Type {
	case wire.Requested:
		return p.requested(m)
	case wire.Responded, wire.Completed, wire.Failed, wire.Aborted, wire.Credited:
		if m.Err == nil {
			m.Err = p.tooDeep(m)
		}
		if m.Err != nil {
			p.malformed(m)
			return nil
		}
		p.answered(m)
	case wire.Ping:
		_ = p.PostBare(wire.Pong) // fails only when the session has ended
	case wire.Pong:
		p.ponged()
	case wire.Skip:
	case wire.Event:
		p.flushForListeners()
		p.event(m)
	case wire.Unknown:
		p.cfg.Counters.Unknown.Add(1)
	default:
		p.flushForListeners()
		switch {
		case m.Err != nil:
			p.cfg.Counters.Malformed.Add(1)
		case !p.side.Control(m):
			p.cfg.Counters.Unknown.Add(1)
		}
	}
	return nil
}

// flushForListeners flushes before listeners of this program run on the reader, which may take long, and may wait for what
// only a flush can bring.
func (p *Peer) flushForListeners() {
	if p.paces != nil {
		p.unflushed.flush()
	}
}

func (p *Peer) event(m *wire.Message) {
	if err := jsonscan.TooDeep(m.Depth, p.cfg.MaxDepth); err != nil {
		p.cfg.Counters.Malformed.Add(1)
		p.side.Event(string(m.Topic), nil, err)
		return
	}
	p.side.Event(string(m.Topic), m.Payload, nil)
}

// malformed takes an answer that cannot be used: it ends its call, or is only counted. One that names several
// requests ends them all, since the right answers to the others may not come either.
func (p *Peer) malformed(m *wire.Message) {
	p.cfg.Counters.Malformed.Add(1)
	if len(m.ID) == 0 || !m.Type.Answers() {
		return
	}
	e := &unusable{what: m.Type.String(), sent: true, cause: m.Err}
	if m.Type == wire.Failed {
		e.what, e.sent = e.what+" "+m.Failure.Code, m.Failure.Sent
	}
	for _, id := range append(m.OtherIDs, m.ID) {
		switch out := p.pending.Fail(id, e); {
		case out != pending.Unknown && m.Type == wire.Responded: // a stream would continue
			p.postAbort(string(id), m.Err.Error())
		case out == pending.Unknown && len(m.OtherIDs) == 0:
			p.cfg.Counters.Late.Add(1)
		}
	}
}

func (p *Peer) answered(m *wire.Message) {
	var out pending.Outcome
	switch m.Type {
	case wire.Responded:
		out = p.pending.Respond(m.ID, m.Output)
	case wire.Completed:
		out = p.pending.Complete(m.ID)
	case wire.Failed:
		out = p.pending.Fail(m.ID, Error(&m.Failure))
	case wire.Credited:
		p.credited(m)
		return
	case wire.Aborted:
		if p.aborted(m) {
			return
		}
		// A peer of the older kind answers an abort with an abort.
		out = p.pending.Fail(m.ID, &call.Error{Code: call.CodeAborted, Message: string(m.Reason), Sent: true})
	}
	switch out {
	case pending.Unknown:
		p.cfg.Counters.Late.Add(1)
	case pending.Surplus:
		p.cfg.Counters.Late.Add(1)
		p.postAbort(string(m.ID), "the call has its answer")
	case pending.Overrun:
		p.cfg.Counters.SlowStreams.Add(1)
		p.postAbort(string(m.ID), "more responses than the reader takes")
	case pending.Delivered:
	}
}

// aborted cancels a request that is served here, and drops the frames that still answer it: no caller waits for them, and
// they must not delay the frames behind them (protocol section 8). It returns false if there is neither.
func (p *Peer) aborted(m *wire.Message) bool {
	p.mu.Lock()
	in := p.inbound[string(m.ID)]
	p.mu.Unlock()
	if in == nil {
		return p.abandon(string(m.ID), false)
	}
	msg, cause := "the caller canceled", context.Canceled
	if len(m.Reason) > 0 {
		msg += ": " + string(m.Reason)
	}
	if string(m.Reason) == reasonDraining {
		cause = errors.Join(context.Canceled, ErrDraining)
	}
	in.left.Store(true)
	in.cancel(&call.Error{Code: call.CodeAborted, Message: msg, Sent: true, Cause: cause})
	in.abandonIfLeft()
	return true
}

func (p *Peer) credited(m *wire.Message) {
	p.mu.Lock()
	in := p.inbound[string(m.ID)]
	p.mu.Unlock()
	if in == nil {
		p.cfg.Counters.Late.Add(1)
		return
	}
	in.addCredit(m.Credit)
}

// requested puts a request into the table and starts its handler, or returns the request if the handler is to run on the
// reader. It runs on the reader, so that an abort that follows finds the request.
func (p *Peer) requested(m *wire.Message) *Incoming {
	if errors.Is(m.Err, wire.ErrNoID) {
		p.cfg.Counters.Malformed.Add(1)
		return nil
	}
	now := time.Now()
	in := &Incoming{peer: p}
	req := &in.Request
	if p.cache == nil {
		p.cache = &decodeCache{}
	}
	err := p.cache.request(m, req, now)
	if err == nil && m.Depth > p.cfg.MaxDepth {
		if e := CheckRequest(req, p.cfg.MaxDepth); e != nil {
			err = errors.New(e.Message)
		}
	}
	if err == nil && !m.HasStream {
		req.Stream = p.side.Streams(req.Operation)
	}
	if req.OriginID == "" {
		req.OriginID = req.ID
	}
	p.findParent(in)
	in.credit.metered, in.credit.left = req.Stream && m.Credit >= 0, max(m.Credit, 0)
	admitted, refused := p.admit(in, now, err)
	switch {
	case refused != nil:
		p.postError(req, refused)
	case !admitted:
	case req.Stream:
		go in.run()
	case p.side.Route(in):
	default:
		if in.pace = p.paceOf(req.Operation); in.pace != nil && in.pace.quick() && !now.Before(p.pausedUntil) {
			return in
		}
		go in.run()
	}
	return nil
}

// admit gives the request a slot, and counts it in the peer's goroutines. The error is for its caller;
// a request under an id in flight is ignored.
func (p *Peer) admit(in *Incoming, now time.Time, bad error) (bool, *call.Error) {
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
		return false, nil // its caller has no session any more
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
		p.inbound = make(map[string]*Incoming)
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

func (p *Peer) postError(req *call.Request, e *call.Error) {
	_ = p.sess.AppendControl(session.Control, p.errorFrame(req.ID, req.Operation, e)) // fails only when the session has ended
}

func (p *Peer) postAbort(id, reason string) {
	b := session.NewBuffer(0)
	b.B = wire.AppendAborted(b.B, id, reason)
	_ = p.sess.AppendControl(session.Control, b) // fails only when the session has ended
}

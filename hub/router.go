package hub

import (
	"context"
	"errors"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
)

// attempt makes a call at one spoke and passes its answers on.
type attempt func(p *peer.Peer, leg *call.Request) *call.Error

// route finds who answers the request and makes the attempt there (protocol
// section 6). It goes on to the next candidate only when the request cannot have run.
// A nil identity is the embedding program, which may call everything.
func (h *Hub) route(ctx context.Context, req *call.Request, originID string, try attempt) *call.Error {
	if e := h.allow(req.Identity, Call, req.Operation); e != nil {
		return e
	}
	leg := h.leg(req, originID)
	var deadline time.Time
	for {
		change := h.table.wait()
		e := h.tryAll(req, leg, try)
		if e == nil || !req.WaitForSpoke || !nobodyThere(e) {
			return e
		}
		if deadline.IsZero() && !req.Stream && req.Timeout == 0 {
			deadline = time.Now().Add(call.DefaultTimeout)
		}
		if e := awaitChange(ctx, change, deadline, e); e != nil {
			return e
		}
	}
}

// nobodyThere says of which errors waiting for a spoke may help.
func nobodyThere(e *call.Error) bool {
	return !e.Sent && (e.Code == call.CodeSpokeNotFound || e.Code == call.CodeOperationNotFound)
}

func awaitChange(ctx context.Context, change <-chan struct{}, deadline time.Time, last *call.Error) *call.Error {
	var over <-chan time.Time
	if !deadline.IsZero() {
		t := time.NewTimer(time.Until(deadline))
		defer t.Stop()
		over = t.C
	}
	select {
	case <-change:
		return nil
	case <-ctx.Done():
		e := call.ContextError(ctx, false)
		e.Message += "; " + last.Error()
		return e
	case <-over:
		return &call.Error{Code: call.CodeTimeout, Message: "nobody came in the call's time; " + last.Error(),
			Cause: context.DeadlineExceeded}
	}
}

// leg builds the request for the next leg from known members, stamped with who
// calls. The time that is left is in the context.
func (h *Hub) leg(req *call.Request, originID string) *call.Request {
	leg := &call.Request{
		Operation: req.Operation, Input: req.Input, Stream: req.Stream, Credit: req.Credit,
		IdleTimeout: req.IdleTimeout, Metadata: req.Metadata, Identity: req.Identity,
		OriginID: originID, ParentID: req.ParentID,
	}
	if req.Timeout != 0 {
		leg.Timeout = -1
	}
	return leg
}

func (h *Hub) tryAll(req, leg *call.Request, try attempt) *call.Error {
	if req.To != "" {
		return h.tryOne(req, leg, try)
	}
	candidates := h.table.serving(req.Operation)
	tried := make(map[*conn]bool)
	var last *call.Error
	for {
		c, why := h.pick(candidates, req, tried)
		if c == nil {
			if last != nil {
				return last
			}
			return why
		}
		tried[c] = true
		e := try(c.peer, leg)
		if e == nil || e.Sent || !nextMayHelp(e) {
			return e
		}
		last = e
	}
}

// nextMayHelp says after which errors another candidate is tried: those of a
// candidate that is full or going, or whose connection was lost before the request left.
func nextMayHelp(e *call.Error) bool {
	switch e.Code {
	case call.CodeOverloaded, call.CodeDisconnected, call.CodeUnavailable, call.CodeOperationNotFound:
		return true
	default:
		return false
	}
}

func (h *Hub) tryOne(req, leg *call.Request, try attempt) *call.Error {
	c, p, ok := h.table.spoke(req.To)
	if !ok {
		return &call.Error{Code: call.CodeSpokeNotFound, Retryable: true, Message: "spoke " + req.To + " is not connected"}
	}
	op, serves := p.operations[req.Operation]
	switch {
	case !serves || !matches(p.labels, req.Selector):
		return notFound("spoke " + req.To + " does not serve " + req.Operation)
	case c.draining.Load() && req.ParentID == "":
		return &call.Error{Code: call.CodeUnavailable, Retryable: true, Message: "spoke " + req.To + " is leaving"}
	case req.Identity != nil && !op.Access.Allows(req.Identity):
		return denied(req)
	}
	return try(c.peer, leg)
}

// pick gives the candidate with the fewest calls in flight that is not full. The
// search begins at another one each time, and ends at the first that is idle.
func (h *Hub) pick(candidates []*conn, req *call.Request, tried map[*conn]bool) (*conn, *call.Error) {
	var best *conn
	least := 0
	why := notFound("nothing serves " + req.Operation + " now")
	start := 0
	if n := uint64(len(candidates)); n > 1 {
		start = int(h.turn.Add(1) % n)
	}
	for i := range candidates {
		c := candidates[(start+i)%len(candidates)]
		if tried[c] {
			continue
		}
		if e := h.suits(c, req); e != nil {
			why = moreTelling(why, e)
			continue
		}
		n, full := c.peer.InFlight()
		if full {
			why = moreTelling(why, &call.Error{Code: call.CodeOverloaded, Retryable: true,
				Message: "every spoke that serves " + req.Operation + " is full"})
			continue
		}
		if best == nil || n < least {
			best, least = c, n
		}
		if n == 0 {
			break
		}
	}
	return best, why
}

// suits says why c cannot answer the request; nil if it can.
func (h *Hub) suits(c *conn, req *call.Request) *call.Error {
	p := h.table.profileOf(c)
	op, serves := p.operations[req.Operation]
	switch {
	case !serves || !matches(p.labels, req.Selector):
		return notFound("nothing serves " + req.Operation + " with these labels")
	case req.Identity != nil && !op.Access.Allows(req.Identity):
		return denied(req)
	case c.draining.Load() && req.ParentID == "":
		return &call.Error{Code: call.CodeUnavailable, Retryable: true, Message: "who serves " + req.Operation + " is leaving"}
	}
	return nil
}

// moreTelling keeps the reason that helps the caller most.
func moreTelling(a, b *call.Error) *call.Error {
	rank := func(e *call.Error) int {
		switch e.Code {
		case call.CodeOverloaded:
			return 3
		case call.CodeUnavailable:
			return 2
		case call.CodeAccessDenied:
			return 1
		default:
			return 0
		}
	}
	if rank(b) >= rank(a) {
		return b
	}
	return a
}

func matches(labels, selector map[string]string) bool {
	for k, v := range selector {
		if got, ok := labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}

func notFound(message string) *call.Error {
	return &call.Error{Code: call.CodeOperationNotFound, Retryable: true, Message: message}
}

func denied(req *call.Request) *call.Error {
	return &call.Error{Code: call.CodeAccessDenied, Message: req.Identity.ID + " may not call " + req.Operation}
}

// mayCall checks the access to an operation of the hub's own.
func (h *Hub) mayCall(id *call.Identity, op call.Operation) *call.Error {
	if e := h.allow(id, Call, op.Name); e != nil {
		return e
	}
	if id != nil && !op.Access.Allows(id) {
		return &call.Error{Code: call.CodeAccessDenied, Message: id.ID + " may not call " + op.Name}
	}
	return nil
}

// streams says whether an operation answers with a stream when the request does
// not say.
func (h *Hub) streams(operation string) bool {
	if op, _, ok := h.operations.Lookup(operation); ok {
		return op.Streams()
	}
	for _, c := range h.table.serving(operation) {
		op := h.table.profileOf(c).operations[operation]
		return op.Streams()
	}
	return false
}

var errReaderLeft = errors.New("the reader left")

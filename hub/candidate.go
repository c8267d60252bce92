package hub

import (
	"slices"

	"github.com/alkdev/hubspoke/call"
)

// verdict says whether a spoke can answer a request. The larger one tells the
// caller more, where several candidates differ.
type verdict int

const (
	suitable  verdict = iota
	lacking           // it does not serve the operation, or has other labels
	forbidden         // the identity may not call it there
	leaving           // it drains
	lost              // its connection was lost, and may come back
	full              // it takes no more calls now
)

// errLost stands for a candidate that may come back: the call waits for it.
var errLost = &call.Error{Code: call.CodeUnavailable, Retryable: true,
	Message: "the connection of the spoke was lost, and it has not come back yet"}

// of makes the error. It is not called for calls that go well, and so may be slow.
func (v verdict) of(req *call.Request) *call.Error {
	who := "who serves " + req.Operation
	if req.To != "" {
		who = "spoke " + req.To
	}
	switch v {
	case lost:
		return errLost
	case forbidden:
		return &call.Error{Code: call.CodeAccessDenied, Message: req.Identity.ID + " may not call " + req.Operation}
	case leaving:
		return &call.Error{Code: call.CodeUnavailable, Retryable: true, Message: who + " is leaving and takes nothing new"}
	case full:
		return &call.Error{Code: call.CodeOverloaded, Retryable: true, Message: "every spoke that serves " + req.Operation + " is full"}
	}
	msg := "nothing serves " + req.Operation + " now"
	switch {
	case req.To != "":
		msg = who + " does not serve " + req.Operation
		if len(req.Selector) > 0 {
			msg += " with these labels"
		}
	case len(req.Selector) > 0:
		msg = "nothing serves " + req.Operation + " with these labels now"
	}
	return &call.Error{Code: call.CodeOperationNotFound, Retryable: true, Message: msg}
}

// pick gives the candidate with the fewest calls in flight that is not full, or
// why there is none. The search begins at another one each time, and ends at the first
// that is idle.
func (h *Hub) pick(candidates []*conn, req *call.Request, tried []*conn) (*conn, verdict) {
	var best *conn
	least := 0
	why := lacking
	start := 0
	if n := uint64(len(candidates)); n > 1 {
		start = int(h.turn.Add(1) % n)
	}
	for i := range candidates {
		c := candidates[(start+i)%len(candidates)]
		if slices.Contains(tried, c) {
			continue
		}
		if v := h.suits(c, req); v != suitable {
			why = max(why, v)
			continue
		}
		n, isFull := c.peer.InFlight()
		if isFull {
			why = full
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

// suits says whether c can answer the request, its load aside.
func (h *Hub) suits(c *conn, req *call.Request) verdict {
	p, waiting := h.table.view(c)
	op, serves := p.operations[req.Operation]
	switch {
	case !serves || !matches(p.labels, req.Selector):
		return lacking
	case req.Identity != nil && !op.Access.Allows(req.Identity):
		return forbidden
	case c.draining.Load() && req.ParentID == "":
		return leaving
	case waiting:
		return lost
	}
	return suitable
}

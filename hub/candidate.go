package hub

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
)

// verdict says whether a spoke can answer a request. The larger one tells the
// caller more, where several candidates differ.
type verdict int

const (
	suitable  verdict = iota
	lacking           // it does not serve the operation, or has other labels
	forbidden         // the identity may not call it there
	leaving           // it drains
	lost              // its connection was lost, and its session may be resumed
	full              // it takes no more calls now
)

// errDetached is the cause of the error for a candidate that is detached: the call may wait for it.
var errDetached = errors.New("detached")

func isDetached(e *call.Error) bool { return e != nil && errors.Is(e.Cause, errDetached) }

// refusal makes the error of a request for which no spoke here was found. It is not called for calls that
// succeed, and so may be slow.
func (h *Hub) refusal(v verdict, req *call.Request, chain *peer.Inbound) *call.Error {
	if v == lost {
		return h.detached(req, chain)
	}
	return v.of(req)
}

// detached makes the error that names the spoke which could answer the request if it were not detached; of
// several, the one that was lost last.
func (h *Hub) detached(req *call.Request, chain *peer.Inbound) *call.Error {
	candidates := h.table.serving(req.Operation)
	if c, ok := h.table.spoke(req.To); ok {
		candidates = []*conn{c}
	}
	var last *conn
	var since time.Time
	n := 0
	for _, c := range candidates {
		if at := h.table.detachedSince(c); !at.IsZero() && h.suits(c, req, chain) == lost {
			n++
			if last == nil || at.After(since) {
				last, since = c, at
			}
		}
	}
	if last == nil { // it resumed or ended meanwhile
		return &call.Error{Code: call.CodeUnavailable, Retryable: true, Cause: errDetached,
			Message: "the spoke that serves " + req.Operation + " was detached"}
	}
	msg := detachedMessage(last.id, since)
	if n > 1 {
		msg += fmt.Sprintf(", as are %d others that serve %s", n-1, req.Operation)
	}
	return &call.Error{Code: call.CodeUnavailable, Retryable: true, Cause: errDetached, Message: msg}
}

func detachedMessage(spokeID string, since time.Time) string {
	return fmt.Sprintf("spoke %s is detached (connection lost %d s ago)", spokeID, int(time.Since(since).Seconds()))
}

// of makes the error of a verdict other than lost.
func (v verdict) of(req *call.Request) *call.Error {
	who := "who serves " + req.Operation
	if req.To != "" {
		who = "spoke " + req.To
	}
	switch v {
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
func (h *Hub) pick(candidates []*conn, req *call.Request, chain *peer.Inbound, tried []*conn) (*conn, verdict) {
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
		if v := h.suits(c, req, chain); v != suitable {
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

// suits reports whether c can answer the request, regardless of its load. A draining spoke answers only calls
// that are part of one that it waits for itself.
func (h *Hub) suits(c *conn, req *call.Request, chain *peer.Inbound) verdict {
	p, waiting := h.table.view(c)
	op, serves := p.operations[req.Operation]
	switch {
	case !serves || !matches(p.labels, req.Selector):
		return lacking
	case req.Identity != nil && !op.Access.Allows(req.Identity):
		return forbidden
	case c.leaving.Load() && chain.IDAt(c.peer) == "":
		return leaving
	case waiting:
		return lost
	}
	return suitable
}

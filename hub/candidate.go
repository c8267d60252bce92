package hub

import (
	"errors"
	"fmt"
	"math"
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
func (h *Hub) refusal(v verdict, req *call.Request, chain *peer.Incoming) *call.Error {
	switch v {
	case lost:
		return h.detached(req, chain)
	case full:
		return h.overloaded(req, chain)
	}
	return v.of(req)
}

// detached makes the error that names the spoke which could answer the request if it were not detached; of
// several, the one that was lost last.
func (h *Hub) detached(req *call.Request, chain *peer.Incoming) *call.Error {
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

// overloaded makes the error of a request for which all spokes here have too many calls in flight.
func (h *Hub) overloaded(req *call.Request, chain *peer.Incoming) *call.Error {
	if c, ok := h.table.spoke(req.To); ok {
		return c.peer.Full()
	}
	var some *conn
	n, least, most := 0, math.MaxInt, 0
	for _, c := range h.table.serving(req.Operation) {
		if h.suits(c, req, chain) == suitable {
			n++
			some = c
			least, most = min(least, c.peer.Limit()), max(most, c.peer.Limit())
		}
	}
	if n == 1 {
		return some.peer.Full()
	}
	limits := fmt.Sprintf("limit %d of each", most)
	if least < most {
		limits = fmt.Sprintf("limits %d to %d", least, most)
	}
	return &call.Error{Code: call.CodeOverloaded, Retryable: true, Message: fmt.Sprintf(
		"all %d spokes that serve %s have too many calls in flight: %s (%s)", n, req.Operation, limits, peer.LimitOptions)}
}

// of makes the error of a verdict other than lost and full.
func (v verdict) of(req *call.Request) *call.Error {
	switch v {
	case forbidden:
		return &call.Error{Code: call.CodeAccessDenied, Message: req.Identity.ID + " may not call " + req.Operation}
	case leaving:
		msg := "the spokes that serve " + req.Operation + " are draining and accept no new calls"
		if req.To != "" {
			msg = "spoke " + req.To + " is draining and accepts no new calls"
		}
		return &call.Error{Code: call.CodeUnavailable, Retryable: true, Message: msg}
	}
	why := "no connected spoke"
	if req.To != "" {
		why = "spoke " + req.To
	}
	switch {
	case req.To != "" && len(req.Selector) > 0:
		why += " does not serve it with these labels"
	case req.To != "":
		why += " does not serve it"
	case len(req.Selector) > 0:
		why += " with these labels serves it"
	default:
		why += " serves it"
	}
	return &call.Error{Code: call.CodeOperationNotFound, Retryable: true, Message: fmt.Sprintf("operation %q not found: %s", req.Operation, why)}
}

// pick gives the candidate with the fewest calls in flight that is not full, or
// why there is none. The search begins at another one each time, and ends at the first
// that is idle.
func (h *Hub) pick(candidates []*conn, req *call.Request, chain *peer.Incoming, tried []*conn) (*conn, verdict) {
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
func (h *Hub) suits(c *conn, req *call.Request, chain *peer.Incoming) verdict {
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

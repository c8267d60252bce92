package hub

import (
	"context"
	"errors"
	"math/rand/v2"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/transport"
)

// staleRetries is how many other hubs are tried after one that no longer has
// what the directory says it has.
const staleRetries = 1

// tryElsewhere makes the attempt at another hub that has a candidate (protocol
// section 6): that hub chooses the spoke. here is why this hub has none.
func (h *Hub) tryElsewhere(req *call.Request, here *call.Error, a *attempts) *call.Error {
	hubs, e := h.hubsFor(a.sink.Context(), req)
	if e != nil {
		return e
	}
	far := a.leg
	far.To, far.Selector, far.FailFast = req.To, req.Selector, req.FailFast
	last := here
	for i, hubID := range hubs {
		if i > staleRetries {
			break
		}
		e := h.tryHub(hubID, &far, a)
		if e == nil || e.Sent || !nextHubMayHelp(e) {
			return e
		}
		if e.Code != call.CodeOperationNotFound && e.Code != call.CodeSpokeNotFound {
			last = e // the hub has a candidate, if none that can now: that tells more
		}
	}
	return last
}

func nextHubMayHelp(e *call.Error) bool {
	return nextMayHelp(e) || e.Code == call.CodeSpokeNotFound
}

func (h *Hub) tryHub(hubID string, far *call.Request, a *attempts) *call.Error {
	ctx := a.sink.Context()
	l, err := h.links.to(ctx, hubID)
	if err != nil {
		if ctx.Err() != nil {
			return peer.ContextError(ctx, false)
		}
		return &call.Error{Code: call.CodeUnavailable, Retryable: true, Message: "hub " + hubID + " cannot be reached: " + err.Error(), Cause: err}
	}
	far.ParentID = a.chain().IDAt(l.peer)
	return l.peer.Do(a.sink, far)
}

// hubsFor gives the other hubs that have a candidate, in random order.
func (h *Hub) hubsFor(ctx context.Context, req *call.Request) ([]string, *call.Error) {
	var hubs []string
	var err error
	if req.To != "" {
		var rec Record
		var ok bool
		if rec, ok, err = h.directory.Spoke(ctx, req.To); ok {
			hubs = []string{rec.HubID}
		}
	} else {
		hubs, err = h.directory.Providers(ctx, req.Operation)
	}
	if err != nil {
		return nil, &call.Error{Code: call.CodeUnavailable, Retryable: true, Message: "the directory cannot be reached", Cause: err}
	}
	others := make([]string, 0, len(hubs))
	for _, id := range hubs {
		if id != h.opts.ID {
			others = append(others, id)
		}
	}
	rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	return others, nil
}

// alone reports whether there can be no other hub.
func (h *Hub) alone() bool { return h.links.leave == nil }

// taken is called by the directory: another hub has taken over a spoke of this
// one. The loser is closed; which code depends on whether it is the same process.
func (h *Hub) taken(newer Record) {
	c := h.table.overtaken(newer)
	if c == nil {
		return
	}
	if attempt := h.table.attemptOf(c); c.instanceID != "" && c.instanceID == newer.InstanceID && attempt > newer.Attempt {
		h.reclaim(c, attempt)
		return
	}
	h.clear(h.table.giveUp(c, newer))
	h.withdraw(c.offered())
}

// reclaim takes the record of c back from a registration that the spoke sent elsewhere before it resumed
// its session here. A resumption does not claim the record, so the other hub could not know of the newer
// attempt.
func (h *Hub) reclaim(c *conn, attempt int64) {
	generation, err := h.claimRecord(c, attempt)
	switch {
	case errors.Is(err, ErrHeld):
		c.retire(transport.CloseIDTaken, "the id is held by another identity")
	case errors.Is(err, ErrSuperseded):
		c.retire(transport.CloseSuperseded, reasonSuperseded)
	case !h.table.renumber(c, generation):
		h.release(c, generation) // it ended meanwhile
	}
}

// clear ends, or displaces, the connections that have lost their id to a newer registration.
func (h *Hub) clear(got claim) {
	if got.oldest != nil {
		got.oldest.retire(transport.CloseReplaced, reasonReplaced)
	}
	if got.displaced != nil {
		got.displaced.displace()
	}
	if got.older != nil {
		got.older.retire(got.code, got.reason)
	}
}

// replacedBy says how c is closed for a newer registration.
func (c *conn) replacedBy(newer Record) (transport.CloseCode, string) {
	if newer.SpokeID != "" && newer.IdentityID != c.who().ID {
		return transport.CloseIDTaken, "the id is held by another identity"
	}
	if newer.SpokeID != "" && (c.instanceID == "" || c.instanceID != newer.InstanceID) {
		return transport.CloseReplaced, reasonReplaced
	}
	return transport.CloseSuperseded, reasonSuperseded
}

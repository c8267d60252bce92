package hub

import (
	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/wire"
)

// Route implements [peer.Side]: it sends a request of the spoke on, if that can be done without waiting.
func (c *conn) Route(in *peer.Incoming) bool {
	h, req := c.hub, &in.Request
	if req.Operation == wire.OperationRegister || reservedTopic(req.Operation) || h.draining.Load() {
		return false
	}
	if req.To == "" && has(&h.operations, req.Operation) {
		return false
	}
	// What the request says of itself is never believed.
	req.Identity = c.who()
	if e := h.allow(req.Identity, Call, req.Operation); e != nil {
		in.Refuse(e)
		return true
	}
	in.Allowed = true
	return h.relay(in, req.ID)
}

// Route implements [peer.Side]: it does the same for a request of another hub.
func (l *link) Route(in *peer.Incoming) bool {
	h, req := l.hub, &in.Request
	if h.draining.Load() || req.To == "" && has(&h.linkOperations, req.Operation) {
		return false
	}
	return h.relay(in, req.OriginID)
}

func (h *Hub) relay(in *peer.Incoming, originID string) bool {
	c := h.candidate(&in.Request, in)
	if c == nil {
		return false
	}
	var leg call.Request
	h.makeLeg(&leg, &in.Request, originID)
	leg.ParentID = in.IDAt(c.peer)
	return in.Relay(c.peer, &leg)
}

// candidate returns the spoke that is to answer the request, nil where that is not clear at once.
func (h *Hub) candidate(req *call.Request, chain *peer.Incoming) *conn {
	if req.To == "" {
		c, _ := h.pick(h.table.serving(req.Operation), req, chain, nil)
		return c
	}
	if c, ok := h.table.spoke(req.To); ok && h.suits(c, req, chain) == suitable {
		return c
	}
	return nil
}

// has reports whether an operation is registered.
func has(r *call.Registry, operation string) bool {
	_, _, ok := r.Lookup(operation)
	return ok
}

package hub

import (
	"context"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
)

// attempts are a call on its way through this hub: it is made at one spoke, or other hub, after the other, until one
// answers.
type attempts struct {
	sink peer.Sink
	in   *peer.Incoming // the request that is passed on; nil for a call of the embedding program
	leg  call.Request   // what is asked of the next
	told bool           // tried has returned what Relay has tried
}

// tried returns where Relay has made an attempt before, and how it failed, the first time; nil if it has made none.
func (a *attempts) tried() (*peer.Peer, *call.Error) {
	if a.in == nil || a.told {
		return nil, nil
	}
	a.told = true
	return a.in.Tried()
}

// chain begins with the request that is passed on, or whose handler makes the call, and continues with its parents; nil if
// the call depends on no request.
func (a *attempts) chain() *peer.Incoming {
	if a.in != nil {
		return a.in
	}
	return peer.IncomingFrom(a.sink.Context())
}

// route finds who answers the request and makes the attempt there (protocol
// section 6). It tries the next candidate only if the request cannot have run.
// A nil identity is the embedding program, which may call everything.
func (h *Hub) route(req *call.Request, originID string, a *attempts) *call.Error {
	if a.in == nil || !a.in.Allowed {
		if e := h.allow(req.Identity, Call, req.Operation); e != nil {
			return e
		}
	}
	if reservedTopic(req.Operation) { // no spoke serves it, and what hubs ask each other is not for callers
		return lacking.of(req)
	}
	h.makeLeg(&a.leg, req, originID)
	try := h.tryAll
	if req.WaitForSpoke {
		try = h.tryUntil
	}
	e := try(req, a)
	if e != nil && nobodyThere(e) && h.draining.Load() { // the spoke has been sent away
		return draining()
	}
	return e
}

// tryAll tries the candidates here, then those of another hub. Where nobody is
// there but spokes whose connection was lost, it waits for the first that comes back.
func (h *Hub) tryAll(req *call.Request, a *attempts) *call.Error {
	e := h.tryHere(req, a)
	if e == nil || e.Sent {
		return e
	}
	if !h.alone() && othersMayHelp(e) {
		e = h.tryElsewhere(req, e, a)
	}
	if isDetached(e) && !req.FailFast {
		return h.tryReturning(req, a)
	}
	return e
}

// tryReturning tries the candidates here whenever one may have come back.
func (h *Hub) tryReturning(req *call.Request, a *attempts) *call.Error {
	var deadline time.Time
	if !req.Stream && req.Timeout == 0 {
		deadline = time.Now().Add(call.DefaultTimeout)
	}
	for {
		change := h.table.wait()
		limit(&a.leg, deadline)
		e := h.tryHere(req, a)
		if !isDetached(e) {
			return e
		}
		if e := awaitChange(a.sink.Context(), change, nil, deadline, func() *call.Error { return h.detached(req, a.chain()) }); e != nil {
			return e
		}
	}
}

// limit keeps what a call has waited from being given to it again.
func limit(leg *call.Request, deadline time.Time) {
	if !deadline.IsZero() {
		leg.Timeout = max(time.Until(deadline), time.Millisecond)
	}
}

// tryUntil tries whenever a spoke has come, as long as the call has time.
func (h *Hub) tryUntil(req *call.Request, a *attempts) *call.Error {
	var deadline time.Time
	for {
		change := h.table.wait()
		limit(&a.leg, deadline)
		e := h.tryAll(req, a)
		if e == nil || !nobodyThere(e) || h.draining.Load() || req.FailFast && isDetached(e) {
			return e
		}
		if deadline.IsZero() && !req.Stream && req.Timeout == 0 {
			deadline = time.Now().Add(call.DefaultTimeout)
		}
		var look <-chan time.Time
		if !h.alone() {
			look = time.After(elsewherePeriod)
		}
		if e := awaitChange(a.sink.Context(), change, look, deadline, func() *call.Error { return e }); e != nil {
			return e
		}
	}
}

// nobodyThere says of which errors waiting for a spoke may help: nobody is
// there, or whoever is there is leaving.
func nobodyThere(e *call.Error) bool {
	switch e.Code {
	case call.CodeSpokeNotFound, call.CodeOperationNotFound, call.CodeUnavailable,
		call.CodeDisconnected: // its session ended before the request left
		return !e.Sent
	default:
		return false
	}
}

// elsewherePeriod is how often a call that waits looks at the other hubs, which
// do not tell of every change.
const elsewherePeriod = 500 * time.Millisecond

// awaitChange waits until the table has changed or it is time to look elsewhere; the
// error is how the call ends instead, with what why returns then as its reason.
func awaitChange(ctx context.Context, change <-chan struct{}, look <-chan time.Time, deadline time.Time, why func() *call.Error) *call.Error {
	var over <-chan time.Time
	if !deadline.IsZero() {
		t := time.NewTimer(time.Until(deadline))
		defer t.Stop()
		over = t.C
	}
	select {
	case <-change:
		return nil
	case <-look:
		return nil
	case <-ctx.Done():
		e := peer.ContextError(ctx, false)
		e.Message += "; " + why().Error()
		return e
	case <-over:
		return &call.Error{Code: call.CodeTimeout, Message: "no spoke was available within the call's timeout; " + why().Error(),
			Cause: context.DeadlineExceeded}
	}
}

// makeLeg builds the request for the next leg from known members, stamped with who
// calls. The time that is left is in the context; the parent depends on the connection that the leg takes.
func (h *Hub) makeLeg(leg, req *call.Request, originID string) {
	*leg = call.Request{
		Operation: req.Operation, Input: req.Input, Stream: req.Stream, Credit: req.Credit,
		IdleTimeout: req.IdleTimeout, Metadata: req.Metadata, Identity: req.Identity,
		OriginID: originID,
	}
	if req.Timeout != 0 {
		leg.Timeout = -1
	}
}

// tryHere tries the candidates of this hub.
func (h *Hub) tryHere(req *call.Request, a *attempts) *call.Error {
	before, last := a.tried()
	switch {
	case before != nil && (req.To != "" || !nextMayHelp(last)):
		return last
	case req.To != "":
		return h.tryOne(req, a)
	}
	chain := a.chain()
	candidates := h.table.serving(req.Operation)
	var few [4]*conn // seldom more
	tried := few[:0]
	for _, c := range candidates {
		if before != nil && c.peer == before {
			tried = append(tried, c)
		}
	}
	for {
		c, why := h.pick(candidates, req, chain, tried)
		if c == nil {
			if last == nil {
				last = h.refusal(why, req, chain)
			}
			return last
		}
		tried = append(tried, c)
		a.leg.ParentID = chain.IDAt(c.peer)
		e := c.peer.Do(a.sink, &a.leg)
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

// othersMayHelp says after which errors another candidate is tried, here or at another hub.
func othersMayHelp(e *call.Error) bool {
	return nextHubMayHelp(e) || e.Code == call.CodeAccessDenied
}

func (h *Hub) tryOne(req *call.Request, a *attempts) *call.Error {
	c, ok := h.table.spoke(req.To)
	if !ok {
		return &call.Error{Code: call.CodeSpokeNotFound, Retryable: true, Message: "spoke " + req.To + " is not connected"}
	}
	chain := a.chain()
	if why := h.suits(c, req, chain); why != suitable {
		return h.refusal(why, req, chain)
	}
	a.leg.ParentID = chain.IDAt(c.peer)
	return c.peer.Do(a.sink, &a.leg)
}

func matches(labels, selector map[string]string) bool {
	for k, v := range selector {
		if got, ok := labels[k]; !ok || got != v {
			return false
		}
	}
	return true
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
		return op.Type == call.Subscription
	}
	for _, c := range h.table.serving(operation) {
		op := h.table.profileOf(c).operations[operation]
		return op.Type == call.Subscription
	}
	return false
}

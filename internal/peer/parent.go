package peer

import "context"

type incomingKey struct{}

// IncomingFrom returns the request that the handler with this context serves, and nil outside a handler.
func IncomingFrom(ctx context.Context) *Incoming {
	in, _ := ctx.Value(incomingKey{}).(*Incoming)
	return in
}

// setParent must run before in is visible to other goroutines.
func (in *Incoming) setParent(parent *Incoming) {
	if parent == nil {
		return
	}
	in.parent.Store(parent)
	// A chain of calls that each outlive their parent must not grow for as long as it lasts.
	up := parent.parent.Load()
	for up != nil && up.ended.Load() {
		up = up.parent.Load()
	}
	parent.parent.Store(up)
}

// IDAt returns the id under which the other side of p knows the nearest request in the chain that begins with in and
// continues with its parents, and "" if none of them came from there or all that did have ended. in may be nil.
func (in *Incoming) IDAt(p *Peer) string {
	for ; in != nil; in = in.parent.Load() {
		if in.peer != nil && in.peer.sameRemote(p) && !in.ended.Load() {
			return in.Request.ID
		}
	}
	return ""
}

// sameRemote reports whether the other sides of p and q know each other's requests.
func (p *Peer) sameRemote(q *Peer) bool {
	return p == q || p.cfg.Remote != "" && p.cfg.Remote == q.cfg.Remote
}

// MadeFor looks a request up that was sent from here and has not been answered: ok is false if there is none. in is the
// request whose handler made it, or that it forwards; nil if the program made it by itself.
func (p *Peer) MadeFor(id string) (in *Incoming, ok bool) {
	owner, ok := p.pending.Owner(id)
	in, _ = owner.(*Incoming)
	return in, ok
}

// findParent resolves the parent that the request names, or clears it if there is none.
func (p *Peer) findParent(in *Incoming) {
	if in.Request.ParentID == "" {
		return
	}
	parent, ok := p.side.MadeFor(in.Request.ParentID)
	if !ok {
		in.Request.ParentID = ""
		return
	}
	in.setParent(parent)
}

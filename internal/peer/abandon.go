package peer

import "github.com/alkdev/hubspoke/internal/wire"

// errLeft answers a request whose caller has left.
var errLeft = errorOf(&wire.Left)

// abandon drops the frames that answer a request whose caller has left; open reports whether it is a stream in flight.
// It reports whether there were any.
func (p *Peer) abandon(id string, open bool) bool {
	return p.sess.Abandon(wire.QuotedID(id), open)
}

// abandonIfLeft is for a response that was sent: its caller may have left just before, and what was queued then has been
// dropped without it.
func (in *Incoming) abandonIfLeft() {
	if in.left.Load() {
		in.peer.abandon(in.Request.ID, in.Request.Stream)
	}
}

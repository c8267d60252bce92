package peer

import (
	"maps"
	"slices"

	"github.com/alkdev/hubspoke/call"
)

// CancelStreams ends the streams that are served here, except those that are part of a call that is not answered.
func (p *Peer) CancelStreams(cause *call.Error) {
	p.mu.Lock()
	all := slices.Collect(maps.Values(p.inbound))
	p.mu.Unlock()
	for _, in := range all {
		if in.endsWithGrace() {
			in.cancel(cause)
		}
	}
}

func (in *Incoming) endsWithGrace() bool { return in.Request.Stream && in.Request.ParentID == "" }

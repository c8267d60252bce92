package peer

import (
	"errors"
	"maps"
	"slices"

	"github.com/alkdev/hubspoke/call"
)

// ErrDraining is why a stream ends that a side which drains does not wait for any longer.
var ErrDraining = errors.New("draining")

// reasonDraining is the reason of call.aborted for the same (protocol section 7).
const reasonDraining = "draining"

// Draining is the error of what a side refuses or ends because it drains; who names the side.
func Draining(who string) *call.Error {
	return &call.Error{Code: call.CodeUnavailable, Retryable: true, Message: who + " is draining", Cause: ErrDraining}
}

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

// abortReason returns the reason that is sent to the other side for a call that ended with e.
func abortReason(e *call.Error) string {
	if errors.Is(e, ErrDraining) {
		return reasonDraining
	}
	return e.Message
}

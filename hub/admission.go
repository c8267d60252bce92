package hub

import (
	"fmt"
	"net/http"

	"github.com/alkdev/hubspoke/call"
)

// admission is a connection's place in the hub's counts, from before its handshake to the end of its
// reader. Every connection has one, however it comes.
type admission struct {
	hub    *Hub
	seated bool
	id     string // of the identity, if seated
}

// rejection is the reason why a connection is not admitted now. The client reconnects.
type rejection struct {
	status int
	reason string
}

var drainingNow = &rejection{http.StatusServiceUnavailable, "the hub is draining"}

// enterConnection counts a connection whose identity is not known yet, unless the hub is draining or full.
func (h *Hub) enterConnection() (*admission, *rejection) {
	if !h.enter() {
		return nil, drainingNow
	}
	a := &admission{hub: h}
	if h.opts.MaxConnections > 0 && int(h.connections.Load()) > h.opts.MaxConnections {
		h.refused.Add(1)
		h.log.Warn().Int("limit", h.opts.MaxConnections).Msg("too many connections (hub.Options.MaxConnections)")
		a.leave()
		return nil, &rejection{http.StatusServiceUnavailable,
			fmt.Sprintf("too many connections: limit %d (hub.Options.MaxConnections)", h.opts.MaxConnections)}
	}
	return a, nil
}

// seat counts the connection for its identity, unless the identity has too many.
func (a *admission) seat(id *call.Identity, remote string) *rejection {
	h := a.hub
	if !h.seats.Acquire(id.ID, h.opts.MaxIdentityConnections) {
		h.refused.Add(1)
		h.log.Warn().Str("identity", id.ID).Str("remote", remote).Int("limit", h.opts.MaxIdentityConnections).
			Msg("too many connections of an identity (hub.Options.MaxIdentityConnections)")
		return &rejection{http.StatusTooManyRequests,
			fmt.Sprintf("too many connections of this identity: limit %d (hub.Options.MaxIdentityConnections)", h.opts.MaxIdentityConnections)}
	}
	a.seated, a.id = true, id.ID
	return nil
}

// leave releases the admission.
func (a *admission) leave() {
	if a.seated {
		a.hub.seats.Release(a.id)
	}
	a.hub.exit()
}

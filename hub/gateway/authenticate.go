package gateway

import (
	"errors"
	"net/http"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
)

func anonymous(*http.Request) (*call.Identity, error) {
	return &call.Identity{ID: call.Anonymous}, nil
}

// authenticate returns the identity that makes the request, or answers it and returns nil. Why a client is not let
// in is logged and not sent.
func (g *Handler) authenticate(w http.ResponseWriter, r *http.Request) *call.Identity {
	id, err := g.opts.Authenticate.Identify(r)
	switch {
	case err == nil:
		return id
	case errors.Is(err, hub.ErrForbidden):
		fail(w, denied("the identity may not use the hub"))
	case errors.Is(err, hub.ErrUnauthenticated):
		w.Header().Set("WWW-Authenticate", "Bearer")
		failWith(w, http.StatusUnauthorized, "UNAUTHENTICATED", "the credentials are missing or wrong")
	default:
		fail(w, unavailable("the hub cannot check credentials now"))
		g.failed(r, err)
		return nil
	}
	g.refused(r, err)
	return nil
}

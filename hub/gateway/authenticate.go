package gateway

import (
	"errors"
	"net/http"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
)

func anonymous(*http.Request) (*call.Identity, error) {
	return &call.Identity{ID: call.Anonymous}, nil
}

// authenticate gives who makes the request, or answers it and gives nil. Why somebody is not let
// in is logged and not told.
func (g *Handler) authenticate(w http.ResponseWriter, r *http.Request) *call.Identity {
	id, err := g.opts.Authenticate(r)
	if err == nil && id != nil && (id.Expires.IsZero() || time.Now().Before(id.Expires)) {
		return id
	}
	g.refused(r, err)
	if errors.Is(err, hub.ErrForbidden) {
		fail(w, denied("who it is may not use the hub"))
		return nil
	}
	w.Header().Set("WWW-Authenticate", "Bearer")
	failWith(w, http.StatusUnauthorized, "UNAUTHENTICATED", "the credentials are missing or wrong")
	return nil
}

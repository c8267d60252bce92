package gateway

import (
	"net/http"
	"slices"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
)

// stats is for operators: it counts what all identities do.
func (g *Handler) stats(w http.ResponseWriter, _ *http.Request, id *call.Identity) {
	if !slices.Contains(id.Scopes, hub.ScopeObserve) {
		fail(w, denied(id.ID+" lacks the scope "+hub.ScopeObserve))
		return
	}
	answerValue(w, http.StatusOK, g.hub.Stats())
}

// health is for load balancers, which have no credentials: it tells nothing else.
func (g *Handler) health(w http.ResponseWriter, _ *http.Request) {
	health := g.hub.Health()
	status := http.StatusOK
	if health.Status == hub.StatusDraining {
		w.Header().Set("Retry-After", "1")
		status = http.StatusServiceUnavailable
	}
	answerValue(w, status, health)
}

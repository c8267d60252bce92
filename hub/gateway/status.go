package gateway

import (
	"net/http"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
)

func (g *Handler) stats(w http.ResponseWriter, _ *http.Request, _ *call.Identity) {
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

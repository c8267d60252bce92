package gateway

import (
	"net/http"

	"github.com/alkdev/hubspoke/call"
)

// publish answers when the event is published, not when subscribers have received it.
func (g *Handler) publish(w http.ResponseWriter, r *http.Request, id *call.Identity, topic string) {
	if _, e := parameters(r.URL.RawQuery, "publishing", nil, nil); e != nil {
		fail(w, e)
		return
	}
	payload, ok := g.body(w, r)
	if !ok {
		return
	}
	if err := g.hub.Publish(r.Context(), id, topic, payload); err != nil {
		fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

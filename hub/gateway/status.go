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

// statusClientClosed is what nginx answers when the client has gone; net/http has no name for it.
const statusClientClosed = 499

// statuses are those of the protocol's table.
var statuses = map[call.Code]int{
	call.CodeOperationNotFound: http.StatusNotFound,
	call.CodeSpokeNotFound:     http.StatusNotFound,
	call.CodeAccessDenied:      http.StatusForbidden,
	call.CodeValidation:        http.StatusBadRequest,
	call.CodeMessageTooLarge:   http.StatusRequestEntityTooLarge,
	call.CodeOverloaded:        http.StatusTooManyRequests,
	call.CodeUnavailable:       http.StatusServiceUnavailable,
	call.CodeDisconnected:      http.StatusBadGateway,
	call.CodeTimeout:           http.StatusGatewayTimeout,
	call.CodeAborted:           statusClientClosed,
	call.CodeSlowConsumer:      http.StatusInternalServerError,
	call.CodeExecution:         http.StatusInternalServerError,
	call.CodeDecode:            http.StatusInternalServerError,
}

// statusOf returns the status of an answer with the code, which is 422 for a handler's own.
func statusOf(code call.Code) int {
	if status, ok := statuses[code]; ok {
		return status
	}
	return http.StatusUnprocessableEntity
}

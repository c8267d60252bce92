package gateway

import (
	"net/http"
	"net/url"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/alkdev/hubspoke/call"
)

// call makes a call for the identity, at the spoke that to names, if it names one. The
// request's context ends when the client goes away, and the call with it.
func (g *Handler) call(w http.ResponseWriter, r *http.Request, id *call.Identity, to, operation string) {
	if !utf8.ValidString(to) || !utf8.ValidString(operation) {
		fail(w, invalid("the path is not UTF-8"))
		return
	}
	if e := g.requests.enter(id.ID); e != nil {
		fail(w, e)
		return
	}
	leave := sync.OnceFunc(func() { g.requests.leave(id.ID) })
	defer leave()
	timeout, e := timeoutOf(r.URL.RawQuery)
	if e != nil {
		fail(w, e)
		return
	}
	input, ok := g.body(w, r)
	if !ok {
		return
	}
	req := call.NewRequest(operation, input, call.To(to), call.Timeout(timeout), call.As(id), call.Metadata(metadataOf(r.Header)))
	if g.hub.OperationType(r.Context(), to, operation) == call.Subscription {
		leave() // it takes the place of a stream instead
		g.callStream(w, r, id, req)
		return
	}
	env, err := g.hub.Call(r.Context(), req)
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, http.StatusOK, call.AppendEnvelope(make([]byte, 0, len(env.Data)+len(env.Meta)+32), env))
}

// timeoutOf reads ?timeout=; 0 is the default. A time that is over at once is a mistake.
func timeoutOf(rawQuery string) (time.Duration, *call.Error) {
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return 0, invalid("the query is malformed")
	}
	values := query["timeout"]
	if len(values) == 0 {
		return 0, nil
	}
	d, err := time.ParseDuration(values[0])
	if err != nil || d <= 0 || len(values) > 1 {
		return 0, invalid("timeout must be one duration over 0, such as 20s or 1m30s")
	}
	return d, nil
}

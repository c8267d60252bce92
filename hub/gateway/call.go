package gateway

import (
	"fmt"
	"net/http"
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
	text, _ := env.MarshalJSON() // never fails
	answer(w, http.StatusOK, text)
}

// timeoutOf reads the parameters of a call, of which there is one; 0 is the default.
func timeoutOf(rawQuery string) (time.Duration, *call.Error) {
	query, e := parameters(rawQuery, "a call", []string{"timeout"}, nil)
	if e != nil || len(query["timeout"]) == 0 {
		return 0, e
	}
	text := query.Get("timeout")
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, invalid(fmt.Sprintf("timeout %q is not a duration over 0 and of at most 292 years, such as 20s or 1m30s", text))
	}
	return d, nil
}

package gateway

import "net/http"

// admitOrigin checks the Origin header as the hub does at its handshake: absent, of the same host,
// or allowed. A browser lets a page of another origin read the answer only if the answer says so.
func (g *Handler) admitOrigin(w http.ResponseWriter, r *http.Request) error {
	w.Header().Add("Vary", "Origin")
	cross, err := g.origins.Check(r)
	if err != nil {
		return err
	}
	if cross {
		w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		w.Header().Set("Access-Control-Expose-Headers", "Retry-After, Link, "+incompleteHeader)
	}
	return nil
}

func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" &&
		r.Header.Get("Access-Control-Request-Method") != ""
}

// preflight answers the question that a browser asks before a request with a token or a JSON body.
func preflight(w http.ResponseWriter, method string) {
	header := w.Header()
	header.Set("Access-Control-Allow-Methods", method)
	header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Traceparent")
	header.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}

package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// admitOrigin checks the Origin header as the hub does at its handshake: absent, of the same host,
// or allowed. A browser lets a page of another origin read the answer only if the answer says so.
func (g *Handler) admitOrigin(w http.ResponseWriter, r *http.Request) error {
	w.Header().Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	u, err := url.Parse(origin)
	switch {
	case err != nil:
		return fmt.Errorf("origin %q: %w", origin, err)
	case u.Host != "" && strings.EqualFold(u.Host, r.Host):
		return nil
	case !originAllowed(g.opts.Origins, u):
		return fmt.Errorf("origin %q is not allowed for host %q", origin, r.Host)
	}
	w.Header().Set("Access-Control-Allow-Origin", origin)
	w.Header().Set("Access-Control-Expose-Headers", "Link, Retry-After, "+incompleteHeader)
	return nil
}

func originAllowed(patterns []string, u *url.URL) bool {
	for _, p := range patterns {
		if p == "*" {
			return true
		}
		target := u.Host
		if strings.Contains(p, "://") {
			target = u.Scheme + "://" + u.Host
		}
		// The pattern was tried by New.
		if ok, err := path.Match(strings.ToLower(p), strings.ToLower(target)); err == nil && ok && u.Host != "" {
			return true
		}
	}
	return false
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

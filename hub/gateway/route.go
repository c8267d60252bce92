package gateway

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/alkdev/hubspoke/call"
)

// route is what serves a path.
type route struct {
	method string
	head   bool // HEAD is served like GET
	own    bool // serve takes the identity's place by itself
	open   http.HandlerFunc
	// serve is called with who asks, where open is nil.
	serve func(w http.ResponseWriter, r *http.Request, id *call.Identity)
}

func (t *route) allow() string {
	if t.head {
		return t.method + ", " + http.MethodHead
	}
	return t.method
}

// find gives the route of an escaped path. http.ServeMux would do it too, but it answers what it
// does not know in plain text, and redirects a path with an empty segment.
func (g *Handler) find(escaped string) (route, bool) {
	rest, ok := strings.CutPrefix(escaped, "/")
	if !ok {
		return route{}, false
	}
	parts := strings.Split(rest, "/")
	if len(parts) > 4 {
		return route{}, false
	}
	for i, p := range parts {
		name, err := url.PathUnescape(p)
		if err != nil || name == "" {
			return route{}, false
		}
		parts[i] = name
	}
	switch {
	case len(parts) == 1:
		return g.findFixed(parts[0])
	case len(parts) == 2:
		return g.findNamed(parts[0], parts[1])
	case len(parts) == 4 && parts[0] == "spokes" && parts[2] == "call":
		return route{method: http.MethodPost, own: true, serve: func(w http.ResponseWriter, r *http.Request, id *call.Identity) {
			g.call(w, r, id, parts[1], parts[3])
		}}, true
	}
	return route{}, false
}

func (g *Handler) findFixed(name string) (route, bool) {
	to := route{method: http.MethodGet, head: true}
	switch name {
	case "spokes":
		to.serve = g.spokes
	case "operations":
		to.serve = g.operations
	case "stats":
		to.serve = g.stats
	case "healthz":
		to.open = g.health
	default:
		return route{}, false
	}
	return to, true
}

func (g *Handler) findNamed(kind, name string) (route, bool) {
	switch kind {
	case "call":
		return route{method: http.MethodPost, own: true,
			serve: func(w http.ResponseWriter, r *http.Request, id *call.Identity) { g.call(w, r, id, "", name) }}, true
	case "publish":
		return route{method: http.MethodPost,
			serve: func(w http.ResponseWriter, r *http.Request, id *call.Identity) { g.publish(w, r, id, name) }}, true
	case "events":
		return route{method: http.MethodGet, own: true,
			serve: func(w http.ResponseWriter, r *http.Request, id *call.Identity) { g.events(w, r, id, name) }}, true
	}
	return route{}, false
}

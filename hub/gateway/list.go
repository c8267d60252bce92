package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
)

// incompleteHeader names the hubs whose items may be missing, each as its percent-encoded id and the code.
const incompleteHeader = "Hubspoke-Incomplete"

// spokes answers with a page of hub.spokes.
func (g *Handler) spokes(w http.ResponseWriter, r *http.Request, id *call.Identity) {
	g.list(w, r, id, g.hub.SpokePage)
}

// operations answers with a page of hub.operations.
func (g *Handler) operations(w http.ResponseWriter, r *http.Request, id *call.Identity) {
	g.list(w, r, id, g.hub.OperationPage)
}

type pager func(context.Context, *call.Identity, hub.ListQuery) (hub.Page[json.RawMessage], error)

// list answers with the items of a page as an array; a Link header names the next page.
func (g *Handler) list(w http.ResponseWriter, r *http.Request, id *call.Identity, page pager) {
	query, e := parameters(r.URL.RawQuery, "a list", []string{"limit", "after", "prefix", "operation"}, []string{"selector", "fields"})
	if e != nil {
		fail(w, e)
		return
	}
	q, e := listQuery(query)
	if e != nil {
		fail(w, e)
		return
	}
	p, err := page(r.Context(), id, q)
	if err != nil {
		fail(w, err)
		return
	}
	if p.Next != "" {
		query.Set("after", p.Next)
		w.Header().Set("Link", "<?"+query.Encode()+`>; rel="next"`) // relative: the gateway may be mounted anywhere
	}
	for _, h := range p.Incomplete {
		w.Header().Add(incompleteHeader, url.PathEscape(h.HubID)+";code="+string(h.Code))
	}
	answerValue(w, http.StatusOK, p.Items)
}

// listQuery reads the parameters of a list.
func listQuery(query url.Values) (q hub.ListQuery, e *call.Error) {
	for name, values := range query {
		switch name {
		case "limit":
			n, err := strconv.Atoi(values[0])
			if err != nil {
				return q, invalid(fmt.Sprintf("limit %q is not an integer", values[0]))
			}
			q.Limit = n
		case "after":
			q.After = values[0]
		case "prefix":
			q.Prefix = values[0]
		case "operation":
			q.Operation = values[0]
		case "selector":
			if q.Selector, e = selector(values); e != nil {
				return q, e
			}
		case "fields":
			for _, v := range values {
				q.Fields = append(q.Fields, strings.Split(v, ",")...)
			}
			q.Fields = slices.DeleteFunc(q.Fields, func(f string) bool { return f == "" })
		}
	}
	return q, nil
}

// selector reads label=value, once for each label.
func selector(values []string) (map[string]string, *call.Error) {
	labels := make(map[string]string, len(values))
	for _, v := range values {
		label, value, ok := strings.Cut(v, "=")
		if _, twice := labels[label]; !ok || twice {
			return nil, invalid(fmt.Sprintf("selector %q is not label=value, or its label occurs more than once", v))
		}
		labels[label] = value
	}
	return labels, nil
}

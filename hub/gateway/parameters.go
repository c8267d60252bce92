package gateway

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/alkdev/hubspoke/call"
)

// parameters reads a query. The parameters in once may occur once, those in many several times; any other is an
// error, since a misspelled one would be ignored in silence. what names the request: "a call".
func parameters(rawQuery, what string, once, many []string) (url.Values, *call.Error) {
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, invalid("the query is malformed: " + err.Error())
	}
	for name, values := range query {
		switch {
		case slices.Contains(once, name) && len(values) > 1:
			return nil, invalid(fmt.Sprintf("parameter %q occurs more than once", name))
		case slices.Contains(once, name) || slices.Contains(many, name):
		case len(once) == 0:
			return nil, invalid(fmt.Sprintf("unknown parameter %q: %s has none", name, what))
		default:
			return nil, invalid(fmt.Sprintf("unknown parameter %q: %s has %s", name, what, strings.Join(slices.Concat(once, many), ", ")))
		}
	}
	return query, nil
}

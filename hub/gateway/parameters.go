package gateway

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/alkdev/hubspoke/call"
)

// parameters reads a query, in which the names that are known occur once, and no others occur: a misspelled
// parameter would be ignored in silence. what names the request: "a call".
func parameters(rawQuery, what string, known ...string) (url.Values, *call.Error) {
	return parametersWith(rawQuery, what, nil, known...)
}

// parametersWith is parameters with those that may occur several times.
func parametersWith(rawQuery, what string, many []string, known ...string) (url.Values, *call.Error) {
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, invalid("the query is malformed: " + err.Error())
	}
	for name, values := range query {
		switch {
		case slices.Contains(known, name) && len(values) > 1:
			return nil, invalid(fmt.Sprintf("parameter %q occurs more than once", name))
		case slices.Contains(known, name) || slices.Contains(many, name):
		case len(known) == 0:
			return nil, invalid(fmt.Sprintf("unknown parameter %q: %s has none", name, what))
		default:
			return nil, invalid(fmt.Sprintf("unknown parameter %q: %s has %s", name, what, strings.Join(append(slices.Clone(known), many...), ", ")))
		}
	}
	return query, nil
}

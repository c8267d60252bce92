package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
)

var nextLink = regexp.MustCompile(`^<(\?[^>]+)>; rel="next"$`)

// follow reads a list by its Link headers.
func (s *site) follow(path, key string) (names []string, pages int) {
	s.t.Helper()
	base, query, _ := strings.Cut(path, "?")
	for {
		status, header, body := s.do(get(base + "?" + query))
		var items []map[string]any
		if err := json.Unmarshal([]byte(body), &items); err != nil || status != http.StatusOK {
			s.t.Fatalf("%s?%s: %d %s", base, query, status, body)
		}
		pages++
		for _, it := range items {
			names = append(names, it[key].(string))
		}
		link := header.Get("Link")
		if link == "" {
			return names, pages
		}
		m := nextLink.FindStringSubmatch(link)
		if m == nil {
			s.t.Fatalf("Link: %s", link)
		}
		query = m[1][1:]
	}
}

func TestListPages(t *testing.T) {
	s := open(t)
	var spokes, operations []string
	for i := range 7 {
		id := fmt.Sprintf("w ä/%d", i)
		op := fmt.Sprintf("text.op%d", i%4)
		spokes = append(spokes, id)
		operations = append(operations, op)
		s.join(id, "", func(r *call.Registry) error { return call.Handle(r, call.Operation{Name: op}, echo) })
	}
	slices.Sort(operations)
	operations = slices.Compact(operations)
	prefix := url.QueryEscape("w ä/")
	for path, want := range map[string][]string{
		"/spokes":                                      spokes,
		"/spokes?limit=3":                              spokes,
		"/spokes?limit=1&prefix=" + prefix:             spokes,
		"/spokes?operation=text.op1":                   {spokes[1], spokes[5]},
		"/spokes?limit=2&after=" + prefix + "4":        spokes[5:],
		"/spokes?selector=a%3Db":                       nil,
		"/spokes?fields=name,labels&fields=&limit=6":   spokes,
		"/operations?prefix=text.":                     operations,
		"/operations?limit=2&prefix=text.&fields=type": operations,
	} {
		key := map[bool]string{true: "spokeId", false: "name"}[strings.HasPrefix(path, "/spokes")]
		if got, pages := s.follow(path, key); !slices.Equal(got, want) || pages > len(want)+1 {
			t.Errorf("%s: %q in %d pages, want %q", path, got, pages, want)
		}
	}
	for _, query := range []string{"limit=501", "limit=-1", "limit=x", "limit=1&limit=2", "selector=a", "selector=a%3D1&selector=a%3D2", "fields=nothing", "afther=x", "after=%zz"} {
		s.wantError(get("/spokes?"+query), 400, "VALIDATION_ERROR")
		s.wantError(get("/operations?"+query), 400, "VALIDATION_ERROR")
	}
}

// ghostDirectory names a hub that cannot be reached.
type ghostDirectory struct{ hub.Directory }

func (d ghostDirectory) Hubs(ctx context.Context) ([]string, error) {
	ids, err := d.Directory.Hubs(ctx)
	return append(ids, "other hub"), err
}

// An answer that lacks the spokes of a hub has a header that names the hub.
func TestListThatIsIncomplete(t *testing.T) {
	bp := hub.NewMemoryBackplane()
	s := newSite(t, &hub.Options{AllowAnonymous: true, Backplane: bp}, nil)
	ghost := newSite(t, &hub.Options{AllowAnonymous: true, Backplane: &hub.Backplane{Events: bp.Events, Directory: ghostDirectory{bp.Directory}, Links: bp.Links}}, nil)
	for _, path := range []string{"/spokes", "/operations"} {
		for site, want := range map[*site]string{s: "", ghost: "other%20hub;code=UNAVAILABLE"} {
			status, header, body := site.do(get(path))
			if got := header.Get("Hubspoke-Incomplete"); status != http.StatusOK || got != want {
				t.Errorf("%s: %d %q, want %q: %s", path, status, got, want, body)
			}
		}
	}
}

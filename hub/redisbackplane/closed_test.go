package redisbackplane_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/redisbackplane"
	"github.com/alkdev/hubspoke/internal/redistest"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/transport"
)

// Health names each part of the backplane that does not work, once and in order.
func TestHealthNamesTheParts(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr())
	r := newRawHubOf(t, server, func(t *testing.T) *redisbackplane.Backplane { return join(t, "redis://"+proxy.Addr(), nil) })
	dir, events := r.near.Backplane().Directory, r.near.Backplane().Events
	leave, err := dir.Join(t.Context(), "near", func(hub.Record) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { leave(t.Context()) })
	stop, err := events.Listen(t.Context(), "news", func(pubsub.Event) {})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	health := func() hub.Health { return r.near.Backplane().Health() }
	if h := health(); h.Status != hub.StatusOK || len(h.Reasons) != 0 {
		t.Errorf("at first: %+v", h)
	}
	proxy.Refuse()
	redistest.Poll(t, "each part to be named", func() bool {
		h := health()
		if !slices.IsSorted(h.Reasons) || len(slices.Compact(slices.Clone(h.Reasons))) != len(h.Reasons) {
			t.Errorf("the reasons are %q", h.Reasons)
		}
		named := 0
		for _, part := range []string{"redisbackplane: Redis cannot be reached: ", "events: ", "links: ", "directory: hub near: "} {
			if slices.ContainsFunc(h.Reasons, func(reason string) bool { return strings.HasPrefix(reason, part) && len(reason) > len(part) }) {
				named++
			}
		}
		return h.Status == hub.StatusDegraded && named == 4
	})
	proxy.Heal()
	redistest.Poll(t, "all to work", func() bool { h := health(); return h.Status == hub.StatusOK && h.Reasons == nil })
}

// A backplane that was closed renews no lease and lets no hub join.
func TestClosedBackplane(t *testing.T) {
	server := redistest.Start(t)
	bp := join(t, server.URL(), &redisOptions{Lease: 300 * time.Millisecond})
	dir, _, _ := rawDirectoryOn(t, server, bp)
	links := bp.Backplane().Links
	if _, err := links.Join("near", func(string, transport.Conn) {}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		bp.Close()
	}
	redistest.Poll(t, "the subscription to end", func() bool { return server.Do("PUBSUB", "CHANNELS", "alk:hubspoke:inbox:*") == "" })
	redistest.Poll(t, "the lease to end", func() bool { return server.Do("EXISTS", "alk:hubspoke:hub:{near}:lease") == "0" })
	if _, err := dir.Join(t.Context(), "other", func(hub.Record) {}); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("the directory: %v", err)
	}
	if _, err := links.Join("other", func(string, transport.Conn) {}); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("the links: %v", err)
	}
	if got := server.Do("EXISTS", "alk:hubspoke:hub:{other}:lease"); got != "0" {
		t.Error("a lease is left")
	}
}

package redisbackplane_test

import (
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/internal/redistest"
)

// A Redis that takes no more memory loses nothing that it has, the hubs report it, and all is written when
// there is room again.
func TestFullRedis(t *testing.T) {
	server := redistest.Start(t)
	o := &redisOptions{Lease: time.Second}
	a, b := startNode(t, server.URL(), "hub-a", o), startNode(t, server.URL(), "hub-b", o)
	c, d := startNode(t, server.URL(), "hub-c", o), startNode(t, server.URL(), "hub-d", o)
	b.Spoke("on-b", nil, serve("on-b"))
	within(t, time.Second, "it is seen", func() bool { return calls(t, c.Hub, "on-b") })
	server.Do("CONFIG", "SET", "maxmemory", "1")

	// It serves what on-b serves, and more.
	a.Spoke("on-a", nil, serve("on-a"))
	if who := server.Do("SMEMBERS", "alk:hubspoke:op:{test.who}"); !strings.Contains(who, ":hub-b") {
		t.Errorf("the providers of an operation are %q: those of the other hub are lost", who)
	}
	if !calls(t, c.Hub, "on-b") {
		t.Error("an operation that is served is not found")
	}
	within(t, time.Second, "health reports it", func() bool {
		h := a.bp.Health()
		return h.Status == hub.StatusDegraded && strings.Contains(strings.Join(h.Reasons, " "), "OOM")
	})
	if h := b.bp.Health(); h.Status != hub.StatusOK {
		t.Errorf("a hub that has nothing to write: %+v", h)
	}
	// What is there already can be rewritten.
	if _, err := b.bp.Backplane().Directory.Claim(t.Context(), hub.Record{SpokeID: "on-b", HubID: "hub-b", IdentityID: call.Anonymous}); err != nil {
		t.Errorf("a spoke that registers again: %v", err)
	}
	// A hub whose cache is cold finds it all the same.
	if err := fails(t, d, call.To("on-b")); err != nil {
		t.Errorf("a spoke is not found through a full Redis: %v", err)
	}
	if n := a.sent.renewals(); n > 100 {
		t.Errorf("%d attempts in one lease", n)
	}

	server.Do("CONFIG", "SET", "maxmemory", "0")
	within(t, time.Second, "health is well again", func() bool { return healthy(a) })
	within(t, time.Second, "what could not be written is seen", func() bool {
		return calls(t, c.Hub, "on-a", call.To("on-a")) && server.Do("SCARD", "alk:hubspoke:op:{test.who}") == "2"
	})
}

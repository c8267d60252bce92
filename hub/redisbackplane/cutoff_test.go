package redisbackplane_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub/redisbackplane"
	"github.com/alkdev/hubspoke/internal/redistest"
)

type redisOptions = redisbackplane.Options

// newCutOff is an outage whose second hub reaches Redis through a proxy.
func newCutOff(t *testing.T, lease time.Duration) (*outage, *redistest.Proxy) {
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr())
	o := &outage{T: t, server: server}
	opts := &redisOptions{Lease: lease}
	o.a = startNode(t, server.URL(), "hub-a", opts)
	o.b = startNode(t, "redis://"+proxy.Addr(), "hub-b", opts)
	o.onA = o.a.Spoke("on-a", nil, serve("on-a"))
	o.onB = o.b.Spoke("on-b", nil, serve("on-b"))
	o.works("before")
	return o, proxy
}

// gone waits until the second hub is out of every decision of the first.
func (o *outage) gone(lease time.Duration) {
	o.Helper()
	dir := o.a.bp.Backplane().Directory
	seen := ""
	o.Cleanup(func() {
		if o.Failed() {
			o.Logf("what was seen last: %s", seen)
		}
	})
	within(o, lease, "the hub is out", func() bool {
		hubs, err := dir.Hubs(o.Context())
		providers, err2 := dir.Providers(o.Context(), "test.who.on-b")
		_, found, err3 := dir.Spoke(o.Context(), "on-b")
		seen = fmt.Sprint(hubs, err, providers, err2, found, err3, o.server.Do("KEYS", "*"), o.server.Do("GET", "alk:hubspoke:hub:{hub-b}:lease"))
		return errors.Join(err, err2, err3) == nil && slices.Equal(hubs, []string{"hub-a"}) && len(providers) == 0 && !found
	})
	if err := fails(o.T, o.a, call.To("on-b")); !errors.Is(err, call.CodeSpokeNotFound) {
		o.Errorf("a call to its spoke: %v", err)
	}
}

// A hub that dies closes its connections: Redis knows at once that nobody hears.
func TestHubCutOff(t *testing.T) {
	t.Parallel()
	const lease = 2 * time.Second
	o, proxy := newCutOff(t, lease)
	ended := o.inFlight()
	proxy.Refuse()
	o.disconnected(ended, silent)
	// Before the lease is over the directory still names it: that costs no call its life.
	if err := fails(t, o.a, call.To("on-b")); err == nil {
		t.Error("a call to a hub that is cut off succeeded")
	} else if e, ok := errors.AsType[*call.Error](err); !ok || e.Sent {
		t.Errorf("a call that cannot have run: %v", err)
	}
	o.gone(lease)
	proxy.Heal()
	o.works("after it is back") // its spokes are still registered
	o.nobodyDropped()
}

// A hub that stands still keeps its connections: only silence tells.
func TestHubStalled(t *testing.T) {
	t.Parallel()
	const lease = 2 * time.Second
	for name, directions := range map[string][]redistest.Direction{
		"both":      {redistest.ToServer, redistest.ToClient},
		"to server": {redistest.ToServer},
		"to client": {redistest.ToClient},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, proxy := newCutOff(t, lease)
			ended := o.inFlight()
			for _, d := range directions {
				proxy.Stall(d, "")
			}
			o.disconnected(ended, silent)
			if !slices.Equal(directions, []redistest.Direction{redistest.ToClient}) { // then it still renews its lease
				o.gone(lease)
			}
			proxy.Heal()
			o.works("after it goes on")
			o.nobodyDropped()
		})
	}
}

// A hub that hears nothing on its subscription alone makes it anew.
func TestDeafSubscription(t *testing.T) {
	t.Parallel()
	o, proxy := newCutOff(t, redisbackplane.DefaultLease)
	ended := o.inFlight()
	proxy.Stall(redistest.ToClient, "inbox:{hub-b}") // of all its connections just this one
	o.disconnected(ended, silent)
	proxy.Heal()
	o.works("after it hears again")
	o.nobodyDropped()
}

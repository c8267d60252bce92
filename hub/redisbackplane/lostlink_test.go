package redisbackplane_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/redisbackplane"
	"github.com/alkdev/hubspoke/internal/redistest"
	"github.com/alkdev/hubspoke/transport"
)

// These tests hold that no hub keeps an end of a link whose other end is gone: its calls over it would never arrive.

// lostAnswer is a client that loses the answer to the PUBLISH that opens a link.
type lostAnswer struct {
	rueidis.Client
	before func() // called when Redis has the message
}

func (c *lostAnswer) Do(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResult {
	words := slices.Clone(cmd.Commands())
	r := c.Client.Do(ctx, cmd)
	if words[0] != "PUBLISH" || words[1] != "alk:hubspoke:inbox:{far}" {
		return r
	}
	c.before()
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	return c.Client.Do(canceled, c.B().Ping().Build())
}

// A link whose opening arrived, and whose dialer does not know that, is reset at the other hub, also one over which
// that hub has sent a call already. Its ticks are not answered: it would believe in the link for ever.
func TestDialFailsAfterOpening(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client, err := redisbackplane.Connect(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	lossy := &lostAnswer{Client: client}
	r := newRawHubOf(t, server, func(t *testing.T) *redisbackplane.Backplane {
		bp, err := redisbackplane.New(lossy, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(bp.Close)
		return bp
	})
	leave, err := r.near.Backplane().Directory.Join(t.Context(), "near", func(hub.Record) {})
	if err != nil {
		t.Fatal(err)
	}
	defer leave(context.Background())
	l := &rawLink{rawHub: r, far: "life.1"}
	lossy.before = func() {
		open := r.next()
		if !open.Open {
			t.Errorf("got %s", open)
		}
		l.near = open.Incarnation
		l.frames(`"a call"`)
		r.nothing() // so the frame has arrived
	}
	if _, err := r.links.Dial(t.Context(), "near", "far"); err == nil {
		t.Error("the dial succeeded")
	}
	l.isReset()
	busy := l.head()
	busy.Tick, busy.Busy = true, true
	l.send(busy)
	r.want(wire{From: "near", To: l.far, Reset: true})
}

// A hub that was cut off from Redis resets the other ends of the links that it lost when Redis takes messages again: the
// other hubs were not cut off and cannot know.
func TestLinksOfHubCutOff(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr())
	r := newRawHubOf(t, server, func(t *testing.T) *redisbackplane.Backplane { return join(t, "redis://"+proxy.Addr(), nil) })
	leave, err := r.near.Backplane().Directory.Join(t.Context(), "near", func(hub.Record) {})
	if err != nil {
		t.Fatal(err)
	}
	defer leave(context.Background())
	links := []*rawLink{r.open("life.1"), r.open("life.2")}
	proxy.Refuse()
	for _, l := range links {
		l.lost("")
	}
	within(t, 5*time.Second, "the hub knows that it is cut off", func() bool { return r.near.Health().Status != hub.StatusOK })
	proxy.Heal()
	reset := map[string]bool{}
	for range links {
		w := r.next()
		if !w.Reset || w.To == "" {
			t.Errorf("got %s", w)
		}
		reset[w.To] = true
	}
	if len(reset) != len(links) {
		t.Errorf("reset: %v", reset)
	}
	r.open("life.3").works(0)
}

// A hub that does not hear the others any more loses its links, those too over which nothing is in flight, and hears again.
func TestDeafHubLosesItsLinks(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr())
	r := newRawHubOf(t, server, func(t *testing.T) *redisbackplane.Backplane { return join(t, "redis://"+proxy.Addr(), nil) })
	busy, idle := r.open("life.1"), r.open("life.2")
	if proxy.Stall(redistest.ToClient, "inbox:{near}") == 0 {
		t.Fatal("no connection has subscribed")
	}
	busy.conn.(hub.Watched).Watch(func() bool { return true })
	idle.lost("the subscription does not hear")
	busy.lost("nothing was heard")
	for w := r.next(); !w.Reset || w.To != idle.far; w = r.next() {
	}
	redistest.Poll(t, "the hub to hear again", func() bool { return r.near.Health().Status == hub.StatusOK })
	r.open("life.3").works(0)
	if s := r.near.Stats(); s.Rebuilt != 1 || s.Probes != 1 || s.Silences != 1 {
		t.Errorf("%+v", s)
	}
}

// A link that was lost sends no ticks while the frames that it has received are unread.
func TestLostLinkIsSilent(t *testing.T) {
	t.Parallel()
	r := newRawHub(t, redistest.Start(t), nil)
	lost, well := r.open("life.1"), r.open("life.2")
	lost.frames("1")
	lost.seq++
	lost.frames("3") // the second is missing
	lost.isReset()
	for _, l := range []*rawLink{lost, well} {
		busy := l.head()
		busy.Tick, busy.Busy = true, true
		l.send(busy)
	}
	r.want(wire{From: "near", Incarnation: well.near, To: well.far, Tick: true})
	r.nothing()
	if err := lost.conn.Write([][]byte{[]byte("1")}); !errors.Is(err, transport.ErrLost) {
		t.Errorf("Write: %v, want it lost", err)
	}
	r.nothing()
	lost.reads("1")
	lost.lost("lost")
}

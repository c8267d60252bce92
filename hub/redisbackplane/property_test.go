package redisbackplane_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/hub/redisbackplane"
	"github.com/alkdev/hubspoke/internal/redistest"
	"github.com/alkdev/hubspoke/spoke"
)

const (
	propertySpokes = 50
	propertyHubs   = 3
	// propertyTime is how long the test goes on; HUBSPOKE_PROPERTY_TIME changes it,
	// HUBSPOKE_PROPERTY_SEED repeats a run as far as that is possible.
	propertyTime = 12 * time.Second
)

// chaos moves spokes between hubs while Redis and hubs come and go.
type chaos struct {
	t       *testing.T
	rnd     *rand.Rand
	server  *redistest.Server
	proxies []*redistest.Proxy
	nodes   []*node

	spokes [propertySpokes]*hubtest.Spoke // the newest of each id
	homes  [propertySpokes]int            // the hub of each
	cut    [propertySpokes]bool           // the connection was cut: it may be about to come back
	moved  [propertySpokes]time.Time      // when the newest had registered

	mu    sync.Mutex          // guards the fields below
	runs  map[string][]string // who ran each call
	ended []outcome
}

// outcome is how a call ended.
type outcome struct {
	id   string
	from int
	code call.Code // "" if it was answered
	sent bool
}

func propertySettings(t *testing.T) (time.Duration, uint64) {
	d, seed := propertyTime, rand.Uint64()
	var err error
	if s := os.Getenv("HUBSPOKE_PROPERTY_TIME"); s != "" {
		if d, err = time.ParseDuration(s); err != nil {
			t.Fatalf("HUBSPOKE_PROPERTY_TIME: %v", err)
		}
	}
	if s := os.Getenv("HUBSPOKE_PROPERTY_SEED"); s != "" {
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("HUBSPOKE_PROPERTY_SEED: %v", err)
		}
	}
	t.Logf("HUBSPOKE_PROPERTY_SEED=%d HUBSPOKE_PROPERTY_TIME=%v", seed, d)
	return d, seed
}

func TestSpokesMoveAtRandom(t *testing.T) {
	d, seed := propertySettings(t)
	c := &chaos{t: t, rnd: rand.New(rand.NewPCG(seed, 0)), server: redistest.Start(t), runs: make(map[string][]string)}
	for i := range propertyHubs {
		proxy := redistest.NewProxy(t, c.server.Addr())
		c.proxies = append(c.proxies, proxy)
		client, err := redisbackplane.Connect("redis://" + proxy.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		// Without sessions: what a spoke's own hub does with a lost connection is not what is tested.
		c.nodes = append(c.nodes, startOn(t, client, fmt.Sprint("hub-", i), &redisOptions{Lease: time.Second}, -1))
	}
	for i := range c.spokes {
		c.move(i)
	}
	var callers sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	for i, n := range c.nodes {
		callers.Go(func() { c.call(ctx, i, n) })
	}
	end := time.NewTimer(d)
	defer end.Stop()
	step := time.NewTicker(15 * time.Millisecond)
	defer step.Stop()
	for running := true; running; {
		select {
		case <-end.C:
			running = false
		case <-step.C:
			c.step()
		}
	}
	for _, p := range c.proxies {
		p.Heal()
	}
	stop()
	callers.Wait()
	c.atRest()
	c.checkCalls(d)
}

// move starts the spoke anew, as another process, at a hub chosen at random.
func (c *chaos) move(i int) {
	id := fmt.Sprint("spoke-", i)
	to := c.rnd.IntN(propertyHubs)
	if c.cut[i] { // else it may register after the new one, which then is the older
		c.spokes[i].Stop()
	}
	// Hubs that cannot ask Redis order two registrations by the clock in milliseconds, and settle a tie either way.
	if since := time.Since(c.moved[i]); since < 2*time.Millisecond {
		<-time.After(2*time.Millisecond - since)
	}
	defer func() { c.moved[i] = time.Now() }()
	c.homes[i], c.cut[i] = to, false
	c.spokes[i] = c.nodes[to].Spoke(id, nil, func(r *call.Registry) {
		registered(call.Handle(r, call.Operation{Name: "test.who"}, func(context.Context, json.RawMessage) (string, error) { return id, nil }))
		registered(call.Handle(r, call.Operation{Name: "test.run"}, func(_ context.Context, in string) (string, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.runs[in] = append(c.runs[in], fmt.Sprintf("%s at hub-%d", id, to))
			return id, nil
		}))
		registered(call.Handle(r, call.Operation{Name: fmt.Sprintf("test.group%d", i%7)}, func(context.Context, json.RawMessage) (string, error) { return id, nil }))
	})
}

// step does one thing of many.
func (c *chaos) step() {
	i := c.rnd.IntN(propertySpokes)
	switch n := c.rnd.IntN(200); {
	case n < 120:
		c.move(i)
	case n < 160: // it comes back where it was
		c.spokes[i].Wire.Cut()
		c.cut[i] = true
	case n < 164:
		c.server.Do("CLIENT", "KILL", "TYPE", "pubsub")
	case n < 168:
		c.server.Do("CLIENT", "KILL", "TYPE", "normal")
	case n == 168:
		c.server.Do("CLIENT", "PAUSE", "300", "ALL")
	case n == 169:
		c.server.Do("FLUSHALL")
	case n == 170:
		c.server.Restart()
	case n == 171:
		c.server.RestartEmpty()
	case n == 172: // Redis is down for a while
		c.server.Kill()
		for range 5 {
			c.move(c.rnd.IntN(propertySpokes))
		}
		c.server.Restart()
	case n < 180: // a hub is cut off, or hears nothing, until later
		p := c.proxies[c.rnd.IntN(propertyHubs)]
		switch c.rnd.IntN(3) {
		case 0:
			p.Refuse()
		case 1:
			p.Stall(redistest.ToClient, "")
		default:
			p.Cut()
		}
	default:
		c.proxies[c.rnd.IntN(propertyHubs)].Heal()
	}
}

// call calls spokes without repeating anything, so that no call may run twice.
func (c *chaos) call(ctx context.Context, from int, n *node) {
	for k := 0; ctx.Err() == nil; k++ {
		id := fmt.Sprintf("call %d from %d", k, from)
		opts := []call.Option{call.Timeout(300 * time.Millisecond)}
		want := ""
		if k%2 == 0 {
			want = fmt.Sprint("spoke-", k/2%propertySpokes)
			opts = append(opts, call.To(want))
		}
		got, err := call.Invoke[string](context.Background(), n.Hub, "test.run", id, opts...)
		if err == nil && want != "" && got != want {
			c.t.Errorf("%s for %s was answered by %s", id, want, got)
		}
		o := outcome{id: id, from: from}
		if err != nil {
			e, ok := errors.AsType[*call.Error](err)
			if !ok {
				c.t.Errorf("%s: %v", id, err)
				continue
			}
			o.code, o.sent = e.Code, e.Sent
		}
		c.mu.Lock()
		c.ended = append(c.ended, o)
		c.mu.Unlock()
	}
}

// checkCalls compares how the calls ended with what has run, and requires that most of the work was done: calls that are
// all refused would violate nothing.
func (c *chaos) checkCalls(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	answered := make([]int, propertyHubs)
	codes := map[call.Code]int{}
	for _, o := range c.ended {
		ran := len(c.runs[o.id])
		codes[o.code]++
		switch {
		case o.code == "" && ran != 1:
			c.t.Errorf("%s was answered and ran %d times", o.id, ran)
		case o.code == "":
			answered[o.from]++
		case !slices.Contains(mayFail, o.code):
			c.t.Errorf("%s ended with %s", o.id, o.code)
		case !o.sent && ran > 0:
			c.t.Errorf("%s ended with %s, not sent, and ran %d times", o.id, o.code, ran)
		}
	}
	for id, who := range c.runs {
		if len(who) > 1 {
			c.t.Errorf("%s ran at %v", id, who)
		}
	}
	for i, n := range answered {
		if least := int(20 * d.Seconds()); n < least { // a quiet machine answers a thousand times as many
			c.t.Errorf("the hub %d had %d answers in %v, want %d", i, n, d, least)
		}
	}
	c.t.Logf("%d calls ended: %v", len(c.ended), codes)
}

// mayFail is what calls end with when spokes, hubs and Redis come and go.
var mayFail = []call.Code{call.CodeUnavailable, call.CodeDisconnected, call.CodeTimeout, call.CodeOperationNotFound,
	call.CodeSpokeNotFound, call.CodeOverloaded, call.CodeAborted}

// atRest checks that what every hub sees is what is so.
func (c *chaos) atRest() {
	t := c.t
	for i, s := range c.spokes {
		for st := range s.States(t.Context()) {
			if st == spoke.Registered {
				break
			}
			if st == spoke.Stopped {
				t.Fatalf("spoke %d, the newest of its id, was stopped at hub %d: %v", i, c.homes[i], s.Wait())
			}
		}
	}
	within(t, 10*time.Second, "all hubs are well", func() bool {
		return !slices.ContainsFunc(c.nodes, func(n *node) bool { return !healthy(n) })
	})
	wrong := ""
	t.Cleanup(func() { t.Logf("what was wrong last: %q", wrong) })
	within(t, 10*time.Second, "each hub has just its own spokes", func() bool { wrong = c.wrong(c.localView); return wrong == "" })
	within(t, 10*time.Second, "every hub sees the truth", func() bool { wrong = c.wrong(c.remoteView); return wrong == "" })
	for i := range c.spokes {
		id := fmt.Sprint("spoke-", i)
		for _, n := range c.nodes {
			if who, err := call.Invoke[string](t.Context(), n.Hub, "test.who", nil, call.To(id)); err != nil || who != id {
				t.Errorf("%s calls %s: %q, %v", n.Hub.ID(), id, who, err)
			}
		}
	}
	for _, n := range c.nodes {
		t.Logf("%s: %+v", n.Hub.ID(), n.bp.Stats())
	}
}

// wrong gives what the first hub that is wrong has wrong.
func (c *chaos) wrong(look func(n *node) string) string {
	for _, n := range c.nodes {
		if s := look(n); s != "" {
			return n.Hub.ID() + ": " + s
		}
	}
	return ""
}

func (c *chaos) localView(n *node) string {
	var got, want []string
	for _, s := range n.Hub.Spokes(nil) {
		got = append(got, s.SpokeID)
	}
	for i := range c.spokes {
		if c.nodes[c.homes[i]] == n {
			want = append(want, fmt.Sprint("spoke-", i))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		return fmt.Sprintf("it has %v, not %v", got, want)
	}
	return ""
}

func (c *chaos) remoteView(n *node) string {
	dir, ctx := n.bp.Backplane().Directory, context.Background()
	providers := map[string][]string{}
	for i := range c.spokes {
		home := c.nodes[c.homes[i]].Hub.ID()
		rec, ok, err := dir.Spoke(ctx, fmt.Sprint("spoke-", i))
		if err != nil || !ok || rec.HubID != home {
			return fmt.Sprintf("spoke %d is at %s, not %+v, %v, %v", i, home, rec, ok, err)
		}
		op := fmt.Sprintf("test.group%d", i%7)
		if !slices.Contains(providers[op], home) {
			providers[op] = append(providers[op], home)
		}
	}
	for op, want := range providers {
		slices.Sort(want)
		if got, err := dir.Providers(ctx, op); err != nil || !slices.Equal(got, want) {
			return fmt.Sprintf("%s is served by %v, not %v, %v", op, want, got, err)
		}
	}
	if got, err := dir.Hubs(ctx); err != nil || len(got) != propertyHubs {
		return fmt.Sprintf("the hubs are %v, %v", got, err)
	}
	return ""
}

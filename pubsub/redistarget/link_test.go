package redistarget_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/internal/redistest"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/pubsub/pubsubtest"
	"github.com/alkdev/hubspoke/pubsub/redistarget"
)

// While Redis is gone events stay in their process, and the publisher is told;
// when it is back listeners get a gap and then everybody's events.
func TestRestart(t *testing.T) {
	for name, restart := range map[string]func(*redistest.Server){
		"WithData": (*redistest.Server).Restart,
		"Empty":    (*redistest.Server).RestartEmpty,
	} {
		t.Run(name, func(t *testing.T) { testRestart(t, restart) })
	}
}

func testRestart(t *testing.T, restart func(*redistest.Server)) {
	server := redistest.Start(t)
	states := make(chan redistarget.Health, 16)
	o := quick()
	o.OnHealth = func(h redistarget.Health) { states <- h }
	here := newTarget(t, clientOf(t, server), o)
	there := newTarget(t, clientOf(t, server), quick())
	atHere, atThere := listen(t, here, "topic"), listen(t, there, "topic")
	dispatch(t, here, "topic", "1")
	want(t, atHere, "1")
	want(t, atThere, "1")

	server.Kill()
	if down := <-states; down.Up || down.Reason == "" {
		t.Fatalf("after a kill: %+v", down)
	}
	waitHealth(t, there, false)
	late := listen(t, here, "late") // returns although Redis is gone
	for _, topic := range []string{"topic", "late"} {
		err := here.Dispatch(testContext(t), pubsub.Event{Topic: topic, Payload: []byte("2")})
		var unavailable *redistarget.UnavailableError
		if !errors.As(err, &unavailable) || !unavailable.DeliveredLocally() || !errors.Is(err, redistarget.ErrUnavailable) {
			t.Fatalf("Dispatch while down: %v", err)
		}
	}
	result := make(chan error, 1)
	here.DispatchAsync(pubsub.Event{Topic: "topic", Payload: []byte("3")}, func(err error) { result <- err })
	if err := <-result; !errors.Is(err, redistarget.ErrUnavailable) {
		t.Fatalf("DispatchAsync while down: %v", err)
	}
	want(t, atHere, "1", "2", "3")
	want(t, late, "2")

	restart(server)
	if up := <-states; !up.Up || up.Reason != "" {
		t.Fatalf("after a restart: %+v", up)
	}
	waitHealth(t, there, true)
	dispatch(t, there, "topic", "4")
	dispatch(t, there, "late", "5")
	want(t, atHere, "1", "2", "3", "gap", "4")
	want(t, late, "2", "gap", "5")
	want(t, atThere, "1", "gap", "4")
	if s := here.Stats(); s.Reconnects != 1 || s.Lost != 1 || s.Gaps != 2 || s.LocalOnly != 3 {
		t.Errorf("Stats: %+v", s)
	}
}

func TestClientKill(t *testing.T) {
	server := redistest.Start(t)
	target := newTarget(t, clientOf(t, server), nil)
	recorder := listen(t, target, "topic")
	for i := range 5 {
		before := target.Stats().Reconnects
		server.Do("CLIENT", "KILL", "TYPE", "pubsub")
		redistest.Poll(t, "a reconnect", func() bool { return target.Stats().Reconnects > before })
		dispatch(t, target, "topic", fmt.Sprint(i))
	}
	want(t, recorder, "gap", "0", "gap", "1", "gap", "2", "gap", "3", "gap", "4")
}

// A publish that Redis does not answer is unknown: it is not delivered locally,
// and the link is found out at once, long before the next probe is due.
func TestClientPause(t *testing.T) {
	server := redistest.Start(t)
	o := quick()
	o.Probe = longest
	o.Timeout /= 4
	target := newTarget(t, clientOf(t, server), o)
	recorder := listen(t, target, "topic")
	server.Do("CLIENT", "PAUSE", "60000", "ALL")
	err := target.Dispatch(testContext(t), pubsub.Event{Topic: "topic", Payload: []byte("1")})
	var unavailable *redistarget.UnavailableError
	if !errors.As(err, &unavailable) || unavailable.Local {
		t.Fatalf("Dispatch while paused: %v", err)
	}
	if health := waitHealth(t, target, false); !strings.Contains(health.Reason, "probe") {
		t.Errorf("Health: %+v", health)
	}
	server.Kill() // it would not take CLIENT UNPAUSE
	server.Restart()
	waitHealth(t, target, true)
	dispatch(t, target, "topic", "2")
	want(t, recorder, "gap", "2")
}

// A connection that has gone half-open is found by the probe and replaced. What
// the old one still says when it comes back to life is not heard.
func TestDeafLink(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr())
	states := make(chan redistarget.Health, 16)
	o := quick()
	o.OnHealth = func(h redistarget.Health) { states <- h }
	target := newTarget(t, newClient(t, proxy.Addr()), o)
	direct := newTarget(t, clientOf(t, server), nil)
	recorder := listen(t, target, "topic")
	if n := proxy.Stall(redistest.ToClient, "SUBSCRIBE"); n != 1 {
		t.Fatalf("%d connections have subscribed", n)
	}
	dispatch(t, direct, "topic", `"lost"`)
	if down := <-states; down.Up || !strings.Contains(down.Reason, "deaf") {
		t.Errorf("Health: %+v", down)
	}
	if up := <-states; !up.Up {
		t.Errorf("Health: %+v", up)
	}
	proxy.Heal()
	dispatch(t, direct, "topic", "1")
	want(t, recorder, "gap", "1")
	if s := target.Stats(); s.Deaf != 1 || s.Probes == 0 || s.Reconnects != 1 {
		t.Errorf("Stats: %+v", s)
	}
}

// A link that still receives is not deaf, even if the probe is far behind what Redis has sent before.
func TestProbeBehindBacklog(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr())
	o := quick()
	target := newTarget(t, newClient(t, proxy.Addr()), o)
	direct := newTarget(t, clientOf(t, server), nil)
	recorder := listen(t, target, "topic")
	const messages = 16
	payload := `"` + strings.Repeat("x", 32<<10) + `"`
	var all []string
	proxy.Delay(300 * time.Millisecond) // 32 KiB at a time
	before := target.Stats()
	for range messages {
		dispatch(t, direct, "topic", payload)
		all = append(all, payload)
	}
	want(t, recorder, all...)
	if s := target.Stats(); s.Deaf != 0 || s.Lost != 0 || s.Probes == before.Probes {
		t.Errorf("Stats: %+v", s)
	}
}

// Redis behind a black hole: no call waits longer than its deadline, and the
// target finds back.
func TestBlackHole(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr())
	o := quick()
	o.Timeout /= 4
	target := newTarget(t, newClient(t, proxy.Addr()), o)
	recorder := listen(t, target, "topic")
	proxy.StallAll(redistest.ToClient)
	waitHealth(t, target, false)
	late := listen(t, target, "late")
	err := target.Dispatch(testContext(t), pubsub.Event{Topic: "late", Payload: []byte("1")})
	if !errors.Is(err, redistarget.ErrUnavailable) {
		t.Fatal(err)
	}
	want(t, late, "1")
	proxy.Heal()
	proxy.Cut() // the client's own connection too
	waitHealth(t, target, true)
	redistest.Poll(t, "the client to publish again", func() bool {
		return target.Dispatch(testContext(t), pubsub.Event{Topic: "topic", Payload: []byte("2")}) == nil
	})
	want(t, recorder, "gap", "2")
}

// A topic that Redis refuses fails by itself, not with those asked for together with it.
func TestRefusedTopics(t *testing.T) {
	server := redistest.Start(t)
	server.Do("ACL", "SETUSER", "limited", "on", ">pw", "+@all", "resetchannels", "&alk:probe:*", "&alk:events:good*")
	client := newClientWith(t, rueidis.ClientOption{InitAddress: []string{server.Addr()}, Username: "limited", Password: "pw"})
	target := newTarget(t, client, nil)
	var listening sync.WaitGroup
	for i := range 50 {
		for _, kind := range []string{"good", "bad"} {
			listening.Go(func() {
				stop, err := target.Listen(testContext(t), fmt.Sprint(kind, i), func(pubsub.Event) {})
				if good := kind == "good"; good != (err == nil) {
					t.Errorf("Listen(%s%d): %v", kind, i, err)
				} else if good {
					stop()
				}
			})
		}
	}
	listening.Wait()
	err := target.Dispatch(testContext(t), pubsub.Event{Topic: "bad"})
	if err == nil || errors.Is(err, redistarget.ErrUnavailable) {
		t.Errorf("Dispatch: %v", err)
	}
	redistest.Poll(t, "all topics to be forgotten", func() bool { return target.Stats().Topics == 0 })
}

// Ten thousand topics come, survive the loss of the link, and go.
func TestManyTopics(t *testing.T) {
	const goroutines, each = 100, 100
	server := redistest.Start(t)
	target := newTarget(t, clientOf(t, server), nil)
	recorders := make([][]*pubsubtest.Recorder, goroutines)
	stops := make([][]func(), goroutines)
	all := func(fn func(g, i int)) {
		var working sync.WaitGroup
		for g := range goroutines {
			working.Go(func() {
				for i := range each {
					fn(g, i)
				}
			})
		}
		working.Wait()
	}
	name := func(g, i int) string { return fmt.Sprintf("topic:%d.%d", g, i) }
	ctx := testContext(t)
	for g := range goroutines {
		recorders[g], stops[g] = make([]*pubsubtest.Recorder, each), make([]func(), each)
	}
	all(func(g, i int) {
		recorder := new(pubsubtest.Recorder)
		stop, err := target.Listen(ctx, name(g, i), recorder.Record)
		if err != nil {
			t.Errorf("Listen: %v", err)
			return
		}
		recorders[g][i], stops[g][i] = recorder, stop
		if err := target.Dispatch(ctx, pubsub.Event{Topic: name(g, i), Payload: fmt.Append(nil, i)}); err != nil {
			t.Errorf("Dispatch: %v", err)
		}
	})
	if t.Failed() {
		return
	}
	all(func(g, i int) { want(t, recorders[g][i], fmt.Sprint(i)) })
	server.Do("CLIENT", "KILL", "TYPE", "pubsub")
	all(func(g, i int) { want(t, recorders[g][i], fmt.Sprint(i), "gap") })
	waitHealth(t, target, true)
	all(func(g, i int) { stops[g][i]() })
	redistest.Poll(t, "all topics to be unsubscribed", func() bool {
		return strings.Count(server.Do("PUBSUB", "CHANNELS"), "\n") == 0 && target.Stats().Topics == 0
	})
}

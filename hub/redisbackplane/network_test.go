package redisbackplane_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/hub/redisbackplane"
	"github.com/alkdev/hubspoke/internal/redistest"
)

// node is a hub with a client and a backplane of its own, as in a process of its own.
type node struct {
	*hubtest.Network
	bp   *redisbackplane.Backplane
	sent *counting
}

// startNodes starts hubs named hub-0, hub-1 … on one Redis; the address is a URL.
func startNodes(t testing.TB, url string, n int) []*node {
	t.Helper()
	var nodes []*node
	for i := range n {
		nodes = append(nodes, startNode(t, url, fmt.Sprint("hub-", i), nil))
	}
	return nodes
}

func startNode(t testing.TB, url, id string, o *redisbackplane.Options) *node {
	t.Helper()
	client, err := redisbackplane.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return startOn(t, client, id, o, 0)
}

// startOn starts a hub on a client, with sessions that wait for the window.
func startOn(t testing.TB, client rueidis.Client, id string, o *redisbackplane.Options, window time.Duration) *node {
	t.Helper()
	sent := &counting{Client: client}
	bp, err := redisbackplane.New(sent, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bp.Close)
	n := hubtest.New(t, &hub.Options{AllowAnonymous: true, ID: id, Backplane: bp.Backplane(), SessionWindow: window})
	return &node{n, bp, sent}
}

// serve gives operations that tell who answers, that never answer, that count, and that echo.
func serve(id string) func(*call.Registry) {
	return func(r *call.Registry) {
		registered(call.Handle(r, call.Operation{Name: "test.who"}, func(context.Context, json.RawMessage) (string, error) { return id, nil }))
		registered(call.Handle(r, call.Operation{Name: "test.who." + id}, func(context.Context, json.RawMessage) (string, error) { return id, nil }))
		registered(call.Handle(r, call.Operation{Name: "test.echo"}, func(_ context.Context, in json.RawMessage) (json.RawMessage, error) { return in, nil }))
		registered(call.Handle(r, call.Operation{Name: "test.wait"}, func(ctx context.Context, _ json.RawMessage) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}))
		registered(call.HandleStream(r, call.Operation{Name: "test.count"}, func(_ context.Context, n int, send func(int) error) error {
			for i := range n {
				if err := send(i); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

// look is the time between two looks of within, and grace how many looks more a bound gets.
const (
	look  = 5 * time.Millisecond
	grace = 200
)

// within looks until something holds, at most as often as fits into d, and a second more. It counts looks, not time: a busy machine makes
// looks slower too, since most of them ask Redis.
func within(t testing.TB, d time.Duration, what string, holds func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	again := time.NewTicker(look)
	defer again.Stop()
	for looks := 0; !holds(); looks++ {
		if looks > int(d/look)+grace {
			t.Fatalf("not within %v: %s", d, what)
		}
		<-again.C
	}
	took := time.Since(begin)
	t.Logf("%s: after %v", what, took.Round(time.Millisecond))
	return took
}

// longest is when a test gives up waiting.
const longest = 30 * time.Second

// calls reports whether a call gets the answer that is wanted.
func calls(t testing.TB, from call.Caller, want string, opts ...call.Option) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	who, err := call.Invoke[string](ctx, from, "test.who", nil, opts...)
	if err == nil && who != want {
		t.Fatalf("%s answers instead of %s", who, want)
	}
	return err == nil
}

func TestAcrossHubs(t *testing.T) {
	server := redistest.Start(t)
	nodes := startNodes(t, server.URL(), 2)
	a, b := nodes[0], nodes[1]
	onB := b.Spoke("on-b", nil, serve("on-b"))
	for name, caller := range map[string]call.Caller{"hub": a.Hub, "spoke": a.Spoke("caller", nil, nil)} {
		within(t, time.Second, "a registration is seen, from a "+name, func() bool { return calls(t, caller, "on-b") })
		within(t, time.Second, "a call by id, from a "+name, func() bool { return calls(t, caller, "on-b", call.To("on-b")) })
		sum := 0
		for n, err := range call.Stream[int](t.Context(), caller, "test.count", 1000) {
			if err != nil {
				t.Fatal(err)
			}
			sum += n
		}
		if sum != 499500 {
			t.Errorf("%s: the stream adds up to %d", name, sum)
		}
		_, err := call.Invoke[string](t.Context(), caller, "test.wait", nil, call.Timeout(200*time.Millisecond))
		if !errors.Is(err, call.CodeTimeout) {
			t.Errorf("%s: %v, want TIMEOUT", name, err)
		}
	}
	within(t, time.Second, "the handlers of ended calls end", func() bool { return onB.Stats().Serving == 0 })
	big := json.RawMessage(`"` + strings.Repeat("x", 900<<10) + `"`)
	if out, err := call.Invoke[json.RawMessage](t.Context(), a.Hub, "test.echo", big); err != nil || len(out) != len(big) {
		t.Errorf("a large call: %d bytes, %v", len(out), err)
	}
	spokes, err := call.Invoke[hub.Page[hub.SpokeInfo]](t.Context(), a.Hub, "hub.spokes", nil)
	if err != nil || len(spokes.Items) != 2 || spokes.Items[1].HubID != "hub-1" || spokes.Incomplete != nil {
		t.Errorf("hub.spokes: %+v, %v", spokes, err)
	}
	ops, err := a.Hub.AllOperations(t.Context(), nil)
	if err != nil || !slices.ContainsFunc(ops, func(o hub.OperationInfo) bool { return o.Name == "test.who.on-b" }) {
		t.Errorf("the operations of the other hub are missing: %+v, %v", ops, err)
	}
	gatherAndPrefer(t, a)
	if done, err := a.Hub.Disconnect(t.Context(), "on-b", "test"); !done || err != nil {
		t.Errorf("Disconnect: %v, %v", done, err)
	}
	_ = onB.Wait()
	within(t, time.Second, "the directory forgets a spoke", func() bool {
		_, err := call.Invoke[string](t.Context(), a.Hub, "test.who", nil, call.To("on-b"))
		return errors.Is(err, call.CodeSpokeNotFound)
	})
}

func gatherAndPrefer(t *testing.T, a *node) {
	t.Helper()
	got := map[string]int{}
	a.Spoke("on-a", nil, serve("on-a"))
	for r, err := range call.Gather[string](t.Context(), a.Hub, "test.who", nil) {
		if err != nil || r.Err != nil || r.Output != r.SpokeID {
			t.Errorf("gather: %+v, %v", r, err)
		}
		got[r.SpokeID]++
	}
	if len(got) != 2 {
		t.Errorf("gather: %v", got)
	}
	for range 10 { // local spokes are preferred
		if who, err := call.Invoke[string](t.Context(), a.Hub, "test.who", nil); err != nil || who != "on-a" {
			t.Errorf("%q, %v", who, err)
		}
	}
}

// A spoke that comes back on another hub ends its old connection there, and the
// old hub's clean-up removes nothing of the new.
func TestMoveBetweenHubs(t *testing.T) {
	server := redistest.Start(t)
	nodes := startNodes(t, server.URL(), 3)
	reasons := make(chan string, 10)
	sub, err := hub.Disconnected.Subscribe(t.Context(), nodes[2].Hub.Events(), "mover")
	if err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the test's context
		for p, err := range sub.All() {
			if err != nil {
				return
			}
			reasons <- p.Reason
		}
	}()
	old := nodes[0].Spoke("mover", nil, serve("first"))
	nodes[1].Spoke("mover", nil, serve("second"))
	_ = old.Wait()
	for _, n := range nodes {
		within(t, time.Second, "a move is seen", func() bool { return calls(t, n.Hub, "second", call.To("mover")) })
		within(t, time.Second, "a move is seen", func() bool { return calls(t, n.Hub, "second") })
	}
	if r := <-reasons; r != "replaced by another instance" {
		t.Errorf("presence: %q", r)
	}
	if n := len(nodes[0].Hub.Spokes(nil)); n != 0 {
		t.Errorf("%d spokes are left at the old hub", n)
	}
}

func TestEventsAcrossHubs(t *testing.T) {
	server := redistest.Start(t)
	nodes := startNodes(t, server.URL(), 2)
	reader, writer := nodes[0].Spoke("reader", nil, nil), nodes[1].Spoke("writer", nil, nil)
	got := make(chan string, 100)
	sub, err := topic.Subscribe(t.Context(), reader.Events(), "x")
	if err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the test's context
		for s, err := range sub.All() {
			if err != nil {
				return
			}
			got <- s
		}
	}()
	for i := range 20 { // subscribed means live: the first one counts
		if err := topic.Publish(t.Context(), writer.Events(), "x", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		if s := <-got; s != fmt.Sprint(i) {
			t.Fatalf("event %q, want %d", s, i)
		}
	}
}

// registered checks that an operation was registered, where no test is at hand.
func registered(err error) {
	if err != nil {
		panic(err)
	}
}

package hub_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// These tests hold behavior that a sample of mutants showed no test to hold (decision 035).

var errRefusal = errors.New("refused by the test")

// refusingDirectory fails to be joined, or refuses every claim, with the error that is set.
type refusingDirectory struct {
	hub.MemoryDirectory
	join, claim error
	left        bool
}

func (d *refusingDirectory) Join(ctx context.Context, hubID string, lost func(hub.Record)) (func(context.Context), error) {
	if d.join != nil {
		return nil, d.join
	}
	leave, err := d.MemoryDirectory.Join(ctx, hubID, lost)
	return func(ctx context.Context) { d.left = true; leave(ctx) }, err
}

func (d *refusingDirectory) Claim(ctx context.Context, rec hub.Record) (int64, error) {
	if d.claim != nil {
		return 0, d.claim
	}
	return d.MemoryDirectory.Claim(ctx, rec)
}

type refusingLinks struct{ hub.MemoryLinks }

func (*refusingLinks) Join(string, func(string, transport.Conn)) (func(), error) {
	return nil, errRefusal
}

func TestNewFailsWithItsBackplane(t *testing.T) {
	d := &refusingDirectory{join: errRefusal}
	if _, err := hub.New(&hub.Options{AllowAnonymous: true, Backplane: &hub.Backplane{Directory: d}}); !errors.Is(err, errRefusal) {
		t.Errorf("a directory that cannot be joined: %v", err)
	}
	d = &refusingDirectory{}
	o := &hub.Options{AllowAnonymous: true, Backplane: &hub.Backplane{Directory: d, Links: &refusingLinks{}}}
	if _, err := hub.New(o); !errors.Is(err, errRefusal) || !d.left {
		t.Errorf("links that cannot be joined: %v; left the directory: %v", err, d.left)
	}
}

// A directory that knows a newer connection of the same process refuses the older one with 4006.
func TestDirectoryKnowsANewerConnection(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := &refusingDirectory{claim: hub.ErrSuperseded}
		net := hubtest.New(t, &hub.Options{Backplane: &hub.Backplane{Directory: d}})
		conn, err := net.Dialer(nil).Dial(t.Context(), hubtest.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		writeRegistration(t, conn, `{"spokeId":"a","instanceId":"i","attempt":1}`)
		if _, end := readToEnd(conn); !strings.HasPrefix(end, "4006 ") {
			t.Errorf("the connection ended with %s, want 4006", end)
		}
	})
}

func TestMemoryLinksAreLeft(t *testing.T) {
	var links hub.MemoryLinks
	accept := func(string, transport.Conn) {}
	leave, err := links.Join("a", accept)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := links.Join("a", accept); !errors.Is(err, hub.ErrHubIDInUse) {
		t.Errorf("joined twice: %v", err)
	}
	leave()
	leave, err = links.Join("a", accept)
	if err != nil {
		t.Fatalf("after the first has left: %v", err)
	}
	leave()
}

func TestScopePatterns(t *testing.T) {
	authorize := hub.AuthorizeScopes()
	for scope, want := range map[string]bool{
		"call:text.count": true, "call:text.*": true, "call:*": true, "call:text.count*": true,
		"call:text": false, "call:text.count.more": false, "call:text.?*": false, "call": false, "call*": false, "*": false, "": false,
		"calltext.count": false, "calls:text.count": false, "x:text.count": false, "xxxx:text.count": false, ":text.count": false,
		"subscribe:text.count": false, "publish:*": false,
	} {
		err := authorize(hub.Action{Identity: &call.Identity{ID: "a", Scopes: []string{scope}}, Verb: hub.Call, Name: "text.count"})
		if (err == nil) != want {
			t.Errorf("scope %q: %v", scope, err)
		}
	}
}

// A call that the embedding program makes for an identity has that identity's rights, at the hub's own operations too.
func TestOwnOperationsAskTheAuthorizer(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &hub.Options{Authorize: hub.AuthorizeScopes()})
		for scope, want := range map[string]bool{"call:hub.info": true, "call:hub.spokes": false} {
			_, err := net.Hub.Call(t.Context(), &call.Request{Operation: "hub.info", Identity: &call.Identity{ID: "a", Scopes: []string{scope}}})
			if want && err != nil || !want && !errors.Is(err, call.CodeAccessDenied) {
				t.Errorf("scope %q: %v", scope, err)
			}
		}
	})
}

func TestPayloadThatIsNoJSON(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		a := net.Spoke("a", nil, nil)
		for _, payload := range []string{"{", "1 2", "\"\xff\""} {
			for name, err := range map[string]error{
				"Publish":        net.Hub.Publish(t.Context(), nil, "t", json.RawMessage(payload)),
				"Events":         net.Hub.Events().Dispatch(t.Context(), pubsub.Event{Topic: "t", Payload: []byte(payload)}),
				"a spoke's":      a.Events().Dispatch(t.Context(), pubsub.Event{Topic: "t", Payload: []byte(payload)}),
				"reserved topic": a.Events().Dispatch(t.Context(), pubsub.Event{Topic: "hub.t", Payload: []byte(payload)}),
			} {
				if name == "reserved topic" && !errors.Is(err, pubsub.ErrInvalidTopic) || name != "reserved topic" && !errors.Is(err, call.CodeValidation) {
					t.Errorf("%s, payload %q: %v", name, payload, err)
				}
			}
		}
		for _, topic := range []string{"hub.t", "__t", "call.t"} {
			if err := a.Events().Dispatch(t.Context(), pubsub.Event{Topic: topic}); !errors.Is(err, pubsub.ErrInvalidTopic) {
				t.Errorf("a spoke published on %s: %v", topic, err)
			}
		}
		later(time.Second)
		if s := a.Stats(); s.Connections != 1 || a.State() != spoke.Registered {
			t.Errorf("a payload cost a connection: %+v, %v", s, a.State())
		}
	})
}

func TestOperationTypeOfTheHubsOwn(t *testing.T) {
	h, err := hub.New(&hub.Options{AllowAnonymous: true})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for operation, want := range map[string]call.Type{
		"hub.gather": call.Subscription, "hub.publish": call.Mutation, "hub.info": call.Query, "no.such": "",
	} {
		if got := h.OperationType(t.Context(), "", operation); got != want {
			t.Errorf("%s is a %q, want %q", operation, got, want)
		}
	}
	if got := h.OperationType(t.Context(), "nobody", "hub.info"); got != "" {
		t.Errorf("a spoke that is not there serves a %q", got)
	}
}

// countedTarget counts its listeners and can be closed.
type countedTarget struct {
	pubsub.Local
	listeners atomic.Int64
	closed    func()
}

func (c *countedTarget) Listen(ctx context.Context, topic string, fn func(pubsub.Event)) (func(), error) {
	stop, err := c.Local.Listen(ctx, topic, fn)
	if err == nil {
		c.listeners.Add(1)
	}
	return func() { c.listeners.Add(-1); stop() }, err
}

func (c *countedTarget) AfterClose(fn func()) func() bool {
	c.closed = fn
	return func() bool { return false }
}

// The hub listens once for each topic that its spokes subscribe to, and no longer than they do.
func TestTheLastSubscriberEndsTheListener(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		core := &countedTarget{}
		net := hubtest.New(t, &hub.Options{Backplane: &hub.Backplane{Events: core}})
		a, b := net.Spoke("a", nil, nil), net.Spoke("b", nil, nil)
		before := core.listeners.Load()
		want := func(more int64) {
			t.Helper()
			later(time.Second)
			if got := core.listeners.Load() - before; got != more {
				t.Errorf("%d listeners, want %d", got, more)
			}
		}
		var stops []func()
		for _, s := range []*hubtest.Spoke{a, b} {
			stop, err := s.Events().Listen(t.Context(), "t", func(pubsub.Event) {})
			if err != nil {
				t.Fatal(err)
			}
			stops = append(stops, stop)
		}
		want(1)
		stops[0]()
		want(1)
		stops[1]()
		want(0)

		ended := false
		net.Hub.Events().(pubsub.CloseNotifier).AfterClose(func() { ended = true })
		if core.closed == nil {
			t.Fatal("the hub does not listen for the end of its backplane's events")
		}
		core.closed()
		if !ended {
			t.Error("the end was not passed on")
		}
	})
}

// RateBurst times FramesPerSecond frames may come at the same moment, and not many more.
func TestRateBurst(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &hub.Options{FramesPerSecond: 10, RateBurst: 10 * time.Second})
		s := net.Spoke("a", nil, nil)
		publish := func(n int) spoke.Stats {
			for range n {
				_ = s.Events().Dispatch(t.Context(), pubsub.Event{Topic: "t"}) // or it waits for the next connection
			}
			synctest.Wait()
			return s.Stats()
		}
		if got := publish(90); got.Connections != 1 || got.Attempts != 1 || s.State() != spoke.Registered {
			t.Errorf("after 90 frames: %+v", got)
		}
		publish(20)
		later(time.Minute)
		if got := s.Stats(); got.Connections < 2 || got.Attempts != int64(got.Connections) {
			t.Errorf("after 110 frames: %+v", got)
		}
	})
}

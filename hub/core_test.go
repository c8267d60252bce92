package hub_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/pubsub"
)

// scriptedCore is a core that delivers and fails as a test wants.
type scriptedCore struct {
	pubsub.Local

	mu        sync.Mutex // guards the fields below
	listen    error
	dispatch  error
	listeners map[string]func(pubsub.Event)
	taken     []string // topics of what was published
}

func (c *scriptedCore) Listen(ctx context.Context, topic string, fn func(pubsub.Event)) (func(), error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listen != nil {
		return nil, c.listen
	}
	if c.listeners == nil {
		c.listeners = make(map[string]func(pubsub.Event))
	}
	c.listeners[topic] = fn
	return c.Local.Listen(ctx, topic, fn)
}

func (c *scriptedCore) Dispatch(ctx context.Context, ev pubsub.Event) error {
	c.mu.Lock()
	c.taken = append(c.taken, ev.Topic)
	err := c.dispatch
	c.mu.Unlock()
	if err != nil {
		return err
	}
	return c.Local.Dispatch(ctx, ev)
}

func (c *scriptedCore) set(listen, dispatch error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listen, c.dispatch = listen, dispatch
}

// deliver hands an event to the hub as it is.
func (c *scriptedCore) deliver(ev pubsub.Event) {
	c.mu.Lock()
	fn := c.listeners[ev.Topic]
	c.mu.Unlock()
	fn(ev)
}

// halfPublished is what a core returns that has reached the listeners of this hub alone.
type halfPublished struct{ local bool }

func (halfPublished) Error() string            { return "half published" }
func (h halfPublished) DeliveredLocally() bool { return h.local }

// asyncCore publishes without waiting.
type asyncCore struct{ *scriptedCore }

func (c asyncCore) DispatchAsync(ev pubsub.Event, done func(error)) {
	done(c.Dispatch(context.Background(), ev))
}

// A program that shares the core can publish there what is no payload: subscribers get a gap for it, nothing else happens to them.
func TestCoreDeliversWhatIsNoPayload(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		core := &scriptedCore{}
		net := hubtest.New(t, &hub.Options{Backplane: &hub.Backplane{Events: core}})
		var mu sync.Mutex
		var got []string // guarded by mu
		for _, id := range []string{"a", "b"} {
			_, err := net.Spoke(id, nil, nil).Events().Listen(t.Context(), "t", func(ev pubsub.Event) {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, fmt.Sprintf("%s %v %d", string(ev.Payload), ev.Gap, ev.Dropped))
			})
			must(t, err)
		}
		for _, test := range []struct {
			ev        pubsub.Event
			want      string
			malformed uint64
		}{
			{pubsub.Event{Topic: "t", Payload: []byte(`{"n":1}`)}, `{"n":1} false 0`, 0},
			{pubsub.Event{Topic: "t", Payload: []byte(`{`)}, " true 1", 1},
			{pubsub.Event{Topic: "t", Payload: []byte("\"\xe9\"")}, " true 1", 2},
			{pubsub.Event{Topic: "t", Gap: true, Dropped: 3}, " true 3", 2},
			{pubsub.Event{Topic: "t", Gap: true}, " true 0", 2},
			{pubsub.Event{Topic: "t", Payload: []byte(`2`)}, `2 false 0`, 2},
		} {
			got = nil
			core.deliver(test.ev)
			synctest.Wait()
			if len(got) != 2 || got[0] != test.want || got[1] != test.want {
				t.Errorf("%+v arrives as %q, want %q twice", test.ev, got, test.want)
			}
			if s := net.Hub.Stats(); s.Malformed != test.malformed || s.Connections != 2 {
				t.Errorf("%+v: %d malformed, %d connections", test.ev, s.Malformed, s.Connections)
			}
		}
	})
}

// A core that cannot be listened to refuses the subscription, and is asked again for the next one.
func TestCoreRefusesAListener(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		core := &scriptedCore{}
		net := hubtest.New(t, &hub.Options{Backplane: &hub.Backplane{Events: core}})
		a, b := net.Spoke("a", nil, nil), net.Spoke("b", nil, nil)
		core.set(errRefusal, nil)
		for range 2 {
			for _, s := range []*hubtest.Spoke{a, b} {
				if _, err := s.Events().Listen(t.Context(), "t", func(pubsub.Event) {}); err == nil || !strings.Contains(err.Error(), errRefusal.Error()) {
					t.Errorf("subscribed: %v", err)
				}
			}
		}
		core.set(nil, nil)
		var heard atomic.Int64
		for _, s := range []*hubtest.Spoke{a, b} {
			_, err := s.Events().Listen(t.Context(), "t", func(pubsub.Event) { heard.Add(1) })
			must(t, err)
		}
		must(t, net.Hub.Events().Dispatch(t.Context(), pubsub.Event{Topic: "t"}))
		synctest.Wait()
		if heard.Load() != 2 {
			t.Errorf("%d of 2 spokes heard the event", heard.Load())
		}
	})
}

// What the core does not publish fails with UNAVAILABLE where the publisher waits, and is denied to a spoke that does not.
func TestCoreDoesNotPublish(t *testing.T) {
	for name, wrap := range map[string]func(*scriptedCore) pubsub.EventTarget{
		"core that waits": func(c *scriptedCore) pubsub.EventTarget { return c },
		"core that does not": func(c *scriptedCore) pubsub.EventTarget {
			return asyncCore{c}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				core := &scriptedCore{}
				net := hubtest.New(t, &hub.Options{Backplane: &hub.Backplane{Events: wrap(core)}})
				raw := rawSpoke(t, net.Hub, &call.Identity{ID: "a"}, `{"spokeId":"a"}`)
				defer raw.Abort()
				for _, test := range []struct {
					err     error
					details string
				}{
					{nil, ""}, {errRefusal, ""}, {halfPublished{false}, ""}, {halfPublished{true}, `{"local":true}`},
					{fmt.Errorf("wrapped: %w", halfPublished{true}), `{"local":true}`},
				} {
					core.set(nil, test.err)
					err := net.Hub.Publish(t.Context(), nil, "t", json.RawMessage(`1`))
					e, _ := errors.AsType[*call.Error](err)
					switch {
					case test.err == nil:
						must(t, err)
					case e == nil || e.Code != call.CodeUnavailable || !e.Retryable || !errors.Is(err, test.err) || string(e.Details) != test.details:
						t.Errorf("%v: %+v", test.err, err)
					}
					_, err = call.Invoke[any](t.Context(), net.Hub, "hub.publish", map[string]any{"topic": "t", "payload": 1})
					if (err != nil) != (test.err != nil) || err != nil && !errors.Is(err, call.CodeUnavailable) {
						t.Errorf("%v: hub.publish %v", test.err, err)
					}
					must(t, raw.Write([][]byte{[]byte(`{"type":"t","payload":1}`)}))
					synctest.Wait()
					if test.err != nil {
						frame, err := raw.Read()
						if err != nil || !strings.Contains(string(frame), `"UNAVAILABLE"`) || !strings.Contains(string(frame), "publish") {
							t.Errorf("%v: %s, %v", test.err, frame, err)
						}
					}
				}
				core.set(nil, errRefusal)
				ended, cancel := context.WithCancel(t.Context())
				cancel()
				if err := net.Hub.Publish(ended, nil, "t", nil); !errors.Is(err, call.CodeAborted) {
					t.Errorf("with a context that has ended: %v", err)
				}
			})
		})
	}
}

// gatedCore takes 8 s for each event.
type gatedCore struct{ scriptedCore }

func (c *gatedCore) Dispatch(ctx context.Context, ev pubsub.Event) error {
	select {
	case <-time.After(8 * time.Second):
		return c.scriptedCore.Dispatch(ctx, ev)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A hub.publish whose time passes while the core has the event may have published it, and reports that.
func TestPublishOperationThatEndsWhileItPublishes(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &hub.Options{Backplane: &hub.Backplane{Events: &gatedCore{}}})
		caller := net.Spoke("caller", nil, nil)
		for range 20 { // the handler and its caller see the deadline at the same moment
			for name, c := range map[string]call.Caller{"program": net.Hub, "spoke": caller} {
				_, err := call.Invoke[any](t.Context(), c, "hub.publish", map[string]any{"topic": "t"}, call.Timeout(time.Second))
				if e, _ := errors.AsType[*call.Error](err); e == nil || e.Code != call.CodeTimeout || !e.Sent {
					t.Fatalf("%s: %+v", name, err)
				}
			}
		}
	})
}

// A core that waits is published to in order, and holds 8 MiB of events: what is beyond is refused.
func TestCoreIsSlow(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		core := &gatedCore{}
		net := hubtest.New(t, &hub.Options{HeartbeatInterval: time.Hour, Backplane: &hub.Backplane{Events: core}})
		raw := rawSpoke(t, net.Hub, &call.Identity{ID: "a"}, `{"spokeId":"a"}`)
		defer raw.Abort()
		later(time.Minute / 2) // what the hub publishes about the spoke
		event := func(n int) []byte {
			return fmt.Appendf(nil, `{"type":"t%d","payload":"%s"}`, n, strings.Repeat("x", 1<<20-100))
		}
		for n := range 9 {
			must(t, raw.Write([][]byte{event(n)}))
		}
		synctest.Wait()
		frame, err := raw.Read()
		if err != nil || !strings.Contains(string(frame), `"t8"`) || !strings.Contains(string(frame), "too many events wait to be published") {
			t.Errorf("%s, %v", frame, err)
		}
		later(10 * time.Second) // there is room for one more
		must(t, raw.Write([][]byte{event(9)}))
		later(time.Minute + 20*time.Second)
		core.mu.Lock()
		defer core.mu.Unlock()
		if got := strings.Join(core.taken, " "); !strings.HasSuffix(got, "t0 t1 t2 t3 t4 t5 t6 t7 t9") {
			t.Errorf("published %s", got)
		}
	})
}

// What has been published makes room for more, the bytes of its topic too.
func TestCoreHasRoomAgain(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const events = 20_000 // their topics are half of what may wait
		core := &scriptedCore{}
		net := hubtest.New(t, &hub.Options{FramesPerSecond: -1, BytesPerSecond: -1, Backplane: &hub.Backplane{Events: core}})
		raw := rawSpoke(t, net.Hub, &call.Identity{ID: "a"}, `{"spokeId":"a"}`)
		defer raw.Abort()
		short := fmt.Appendf(nil, `{"type":"%s","payload":1}`, strings.Repeat("t", 250))
		batch := slices.Repeat([][]byte{short}, 100)
		for range events / len(batch) {
			must(t, raw.Write(batch))
			synctest.Wait()
		}
		must(t, raw.Write([][]byte{fmt.Appendf(nil, `{"type":"last","payload":"%s"}`, strings.Repeat("x", 1<<20-100))}))
		synctest.Wait()
		core.mu.Lock()
		defer core.mu.Unlock()
		n := 0
		for _, topic := range core.taken {
			if topic[0] == 't' || topic == "last" {
				n++
			}
		}
		if n != events+1 {
			t.Errorf("%d events were published", n)
		}
	})
}

// waitingCore is a core whose Listen waits for its context, as the contract of an event target allows.
type waitingCore struct {
	pubsub.Local
	waiting atomic.Int64
}

func (c *waitingCore) Listen(ctx context.Context, _ string, _ func(pubsub.Event)) (func(), error) {
	c.waiting.Add(1)
	defer c.waiting.Add(-1)
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// A core that does not answer holds up neither the end of a session nor Shutdown.
func TestCoreDoesNotAnswer(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		core := &waitingCore{}
		net := hubtest.New(t, &hub.Options{Backplane: &hub.Backplane{Events: core}})
		a, b := net.Spoke("a", nil, nil), net.Spoke("b", nil, nil)
		for _, s := range []*hubtest.Spoke{a, b} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := s.Events().Listen(ctx, "t", func(pubsub.Event) {}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Listen: %v", err)
			}
		}
		a.Stop()
		synctest.Wait()
		if n := core.waiting.Load(); n != 1 {
			t.Errorf("%d calls of the core's Listen wait, want the one that b waits for", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := net.Hub.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if n := core.waiting.Load(); n != 0 {
			t.Errorf("%d calls of the core's Listen are left", n)
		}
	})
}

// The end of a subscription reaches every listener, also one that may see only some of the events.
func TestCoreEndsForAnIdentity(t *testing.T) {
	core := &scriptedCore{}
	net := hubtest.New(t, &hub.Options{Authorize: hub.AuthorizeScopes(), Backplane: &hub.Backplane{Events: core}})
	id := &call.Identity{ID: "a", Scopes: []string{"subscribe:*"}}
	ended := make(chan error, 1)
	_, err := net.Hub.EventsAs(id).Listen(t.Context(), hub.TopicConnected, func(ev pubsub.Event) { ended <- ev.End })
	must(t, err)
	core.End(hub.TopicConnected, errRefusal)()
	if err := <-ended; !errors.Is(err, errRefusal) {
		t.Errorf("ended with %v", err)
	}
}

// stuckCore is a core whose Dispatch waits for its context.
type stuckCore struct {
	pubsub.Local
	waiting atomic.Int64
}

func (c *stuckCore) Dispatch(ctx context.Context, _ pubsub.Event) error {
	c.waiting.Add(1)
	defer c.waiting.Add(-1)
	<-ctx.Done()
	return context.Cause(ctx)
}

// What spokes have published to a core that does not answer ends with the hub: nothing waits after Close.
func TestCoreTakesNoEvents(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		core := &stuckCore{}
		net := hubtest.New(t, &hub.Options{Backplane: &hub.Backplane{Events: core}})
		a := net.Spoke("a", nil, nil)
		for range 100 {
			publishOn(t, a.Events(), "t")
		}
		synctest.Wait()
		if core.waiting.Load() == 0 {
			t.Error("nothing is published")
		}
		start := time.Now()
		net.Hub.Close()
		synctest.Wait()
		if n := core.waiting.Load(); n != 0 || time.Since(start) != 0 {
			t.Errorf("%d calls of the core's Dispatch wait after Close, which took %v", n, time.Since(start))
		}
	})
}

func publishOn(t *testing.T, target pubsub.EventTarget, topic string) {
	t.Helper()
	must(t, target.Dispatch(t.Context(), pubsub.Event{Topic: topic}))
}

package hub_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/pubsub/pubsubtest"
	"github.com/alkdev/hubspoke/spoke"
)

// The events of hub and spokes keep the contract of an event target, between any two of them.
func TestEventsAreTargets(t *testing.T) {
	type ends = func(t *testing.T) (publisher, subscriber pubsub.EventTarget)
	for name, e := range map[string]ends{
		"hub to spoke": func(t *testing.T) (_, _ pubsub.EventTarget) {
			net := hubtest.New(t, nil)
			return net.Hub.Events(), net.Spoke("a", nil, nil).Events()
		},
		"spoke to hub": func(t *testing.T) (_, _ pubsub.EventTarget) {
			net := hubtest.New(t, nil)
			return net.Spoke("a", nil, nil).Events(), net.Hub.Events()
		},
		"spoke to spoke": func(t *testing.T) (_, _ pubsub.EventTarget) {
			net := hubtest.New(t, nil)
			return net.Spoke("a", nil, nil).Events(), net.Spoke("b", nil, nil).Events()
		},
		"spoke to itself": func(t *testing.T) (_, _ pubsub.EventTarget) {
			a := hubtest.New(t, nil).Spoke("a", nil, nil).Events()
			return a, a
		},
		"over a WebSocket": func(t *testing.T) (_, _ pubsub.EventTarget) {
			h := socketHub(t, nil)
			return socketSpoke(t, h, "a").Events(), socketSpoke(t, h, "b").Events()
		},
	} {
		t.Run(name, func(t *testing.T) {
			pubsubtest.TestTarget(t, func(t *testing.T) (_, _ pubsub.EventTarget) {
				publisher, subscriber := e(t)
				return publisher, settled{subscriber, publisher}
			})
		})
	}
}

// Events as somebody sees them: what may not be seen, published or subscribed to is not.
func TestEventsAs(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &hub.Options{Authorize: hub.AuthorizeScopes()})
		anna := &call.Identity{ID: "anna", Scopes: []string{"subscribe:*", "publish:chat.*", "list:worker-*"}}
		as := net.Hub.EventsAs(anna)
		var seen, all []string
		for target, to := range map[pubsub.EventTarget]*[]string{as: &seen, net.Hub.EventsAs(nil): &all} {
			stop, err := target.Listen(t.Context(), hub.TopicConnected, func(ev pubsub.Event) { *to = append(*to, string(ev.Payload)) })
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
		}
		rights := &call.Identity{ID: "w", Scopes: []string{"hold:*"}}
		for _, id := range []string{"worker-1", "secret"} {
			net.Spoke(id, &spoke.Options{Dialer: net.Dialer(rights)}, nil)
		}
		// What is no word of the hub's own is shown to the embedding program alone.
		_ = net.Hub.Events().Dispatch(t.Context(), pubsub.Event{Topic: hub.TopicConnected, Payload: json.RawMessage(`"odd"`)})
		synctest.Wait()
		if len(all) != 3 || len(seen) != 1 || !strings.Contains(seen[0], `"worker-1"`) {
			t.Errorf("all %v, seen %v", all, seen)
		}
		_, err := as.Listen(t.Context(), hub.TopicConnected+":secret", func(pubsub.Event) {})
		if !errors.Is(err, call.CodeAccessDenied) {
			t.Error(err)
		}
		if _, err := as.Listen(t.Context(), "chat.room", nil); !errors.Is(err, pubsub.ErrNoListener) {
			t.Errorf("Listen with nil: %v, want ErrNoListener", err)
		}
		if err := as.Dispatch(t.Context(), pubsub.Event{Topic: "chat.room"}); err != nil {
			t.Error(err)
		}
		for _, topic := range []string{"", "__a", "hub.a"} {
			err := as.Dispatch(t.Context(), pubsub.Event{Topic: topic})
			if _, coded := errors.AsType[*call.Error](err); !coded || !errors.Is(err, pubsub.ErrInvalidTopic) {
				t.Errorf("Dispatch on %q: %v", topic, err)
			}
		}
		for _, topic := range []string{"", "__a"} {
			_, err := as.Listen(t.Context(), topic, func(pubsub.Event) {})
			if _, coded := errors.AsType[*call.Error](err); !coded || !errors.Is(err, pubsub.ErrInvalidTopic) {
				t.Errorf("Listen on %q: %v", topic, err)
			}
		}
		if err := as.Dispatch(t.Context(), pubsub.Event{Topic: "chat.room", Payload: []byte("{")}); !errors.Is(err, pubsub.ErrInvalidPayload) || !errors.Is(err, call.CodeValidation) {
			t.Errorf("Dispatch of what is not JSON: %v", err)
		}
		if err := as.Dispatch(t.Context(), pubsub.Event{Topic: "other"}); !errors.Is(err, call.CodeAccessDenied) {
			t.Error(err)
		}
	})
}

// What a spoke publishes while its connection is being closed, after its session has ended, is dropped: others have been
// notified that it is gone.
func TestReplacedSpokePublishesNothing(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		heard := make(chan string, 10)
		stop, err := net.Hub.Events().Listen(t.Context(), "t", func(ev pubsub.Event) { heard <- string(ev.Payload) })
		must(t, err)
		defer stop()
		who := &call.Identity{ID: "a"}
		old := rawSpoke(t, net.Hub, who, `{"spokeId":"a","instanceId":"one","attempt":1}`)
		defer old.Abort()
		must(t, old.Write([][]byte{[]byte(`{"type":"t","payload":1}`)}))
		synctest.Wait()
		next := rawSpoke(t, net.Hub, who, `{"spokeId":"a","instanceId":"two","attempt":1}`)
		defer next.Abort()
		must(t, old.Write([][]byte{[]byte(`{"type":"t","payload":2}`)})) // it has not read the close frame
		synctest.Wait()
		must(t, next.Write([][]byte{[]byte(`{"type":"t","payload":3}`)}))
		synctest.Wait()
		close(heard)
		var got []string
		for payload := range heard {
			got = append(got, payload)
		}
		if text := strings.Join(got, " "); text != "1 3" {
			t.Errorf("published %s", text)
		}
	})
}

// A target that reports its end does so through the hub's events; one that does not is never reported to end.
func TestEventsReportTheEndOfTheirTarget(t *testing.T) {
	local := &pubsub.Local{}
	for name, c := range map[string]struct {
		target  pubsub.EventTarget
		reports bool
	}{"local": {local, true}, "one that does not": {struct{ pubsub.EventTarget }{local}, false}} {
		h, err := hub.New(&hub.Options{AllowAnonymous: true, Backplane: &hub.Backplane{Events: c.target}})
		if err != nil {
			t.Fatal(err)
		}
		n, ok := h.Events().(pubsub.CloseNotifier)
		if !ok {
			t.Fatalf("%s: %T", name, h.Events())
		}
		ended := 0
		n.AfterClose(func() { ended++ })
		taken := n.AfterClose(func() { t.Errorf("%s: called though taken back", name) })
		if !taken() {
			t.Errorf("%s: it could not be taken back", name)
		}
		if c.reports {
			local.Close()
		}
		if ended == 1 != c.reports {
			t.Errorf("%s: called %d times", name, ended)
		}
		h.Close()
	}
}

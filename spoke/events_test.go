package spoke_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/spoke"
)

func publish(t *testing.T, to pubsub.EventTarget, payload string) {
	t.Helper()
	if err := to.Dispatch(t.Context(), pubsub.Event{Topic: "news", Payload: json.RawMessage(payload)}); err != nil {
		t.Error(err)
	}
}

// After a cut topics are subscribed to again. What is published from the moment
// at which the gap is told arrives.
func TestSubscriptionsComeBackWithAGap(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &hub.Options{SessionWindow: -1})
		a := net.Spoke("a", nil, nil)
		heard := make(chan string, 10)
		stop, err := a.Events().Listen(t.Context(), "news", func(ev pubsub.Event) {
			if ev.Gap {
				heard <- "gap"
				publish(t, net.Hub.Events(), `"asked after the gap"`)
				return
			}
			heard <- string(ev.Payload)
		})
		if err != nil {
			t.Fatal(err)
		}
		publish(t, net.Hub.Events(), "1")
		synctest.Wait()
		if err := a.Reconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		publish(t, a.Events(), "2")
		for _, want := range []string{"1", "gap", `"asked after the gap"`, "2"} {
			if got := <-heard; got != want {
				t.Errorf("heard %s, want %s", got, want)
			}
		}
		stop()
		synctest.Wait()
		if n := net.Hub.Stats().Topics; n != 0 {
			t.Errorf("%d topics left", n)
		}
	})
}

func TestEventsWaitForAConnection(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &hub.Options{SessionWindow: -1})
		b := net.Spoke("b", nil, nil)
		heard := make(chan pubsub.Event, 1)
		if _, err := b.Events().Listen(t.Context(), "news", func(ev pubsub.Event) { heard <- ev }); err != nil {
			t.Fatal(err)
		}
		a := net.Spoke("a", nil, nil)
		a.Wire.Refuse(errors.New("no route"))
		a.Wire.Cut()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.Events().Dispatch(ctx, pubsub.Event{Topic: "news"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if _, err := a.Events().Listen(ctx, "news", func(pubsub.Event) {}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		time.AfterFunc(time.Minute, func() { a.Wire.Refuse(nil) })
		publish(t, a.Events(), "1")
		if ev := <-heard; string(ev.Payload) != "1" {
			t.Error(ev)
		}
	})
}

func TestDeniedSubscription(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &hub.Options{Authorize: func(a hub.Action) error {
			if a.Verb == hub.Subscribe {
				return errors.New("not yours")
			}
			return nil
		}})
		a := net.Spoke("a", nil, nil)
		_, listen := a.Events().Listen(t.Context(), "news", func(pubsub.Event) {})
		_, subscribe := pubsub.NewTopic[int]("news").Subscribe(t.Context(), a.Events(), "")
		id := &call.Identity{ID: "a"}
		for name, err := range map[string]error{"Listen": listen, "Subscribe": subscribe, "the hub": net.Hub.MaySubscribe(id, "news")} {
			e, ok := errors.AsType[*call.Error](err)
			if !ok || !errors.Is(err, call.CodeAccessDenied) || e.Message != "not yours" || e.Retryable || e.Sent {
				t.Errorf("%s: %v", name, err)
			}
		}
		_, err := call.Invoke[any](t.Context(), a, "hub.info", nil)
		if err != nil {
			t.Error(err)
		}
	})
}

// Who comes and goes is told in order, the older connection before the newer one.
func TestPresenceInOrder(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		watcher := net.Spoke("watcher", nil, nil)
		heard := make(chan string, 100)
		for topic, word := range map[string]string{hub.TopicConnected: "here", hub.TopicDisconnected: "gone"} {
			stop, err := watcher.Events().Listen(t.Context(), topic+":a", func(ev pubsub.Event) {
				var p hub.Presence
				_ = json.Unmarshal(ev.Payload, &p)
				heard <- word + " " + p.SpokeID
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(stop)
		}
		a := net.Spoke("a", nil, nil)
		synctest.Wait() // one that is replaced before it has been told of is not told of at all
		net.Spoke("a", nil, nil)
		if err := a.Wait(); err == nil {
			t.Error("the older one goes on")
		}
		for _, want := range []string{"here a", "gone a", "here a"} {
			if got := <-heard; got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
	})
}

// A spoke that was shut down before Run publishes and subscribes to nothing: both fail, and do not wait for their context.
func TestEventsOfASpokeThatNeverRan(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, err := spoke.New("ws://hub.test/", nil)
		must(t, err)
		waiting := make(chan error, 2)
		go func() {
			_, err := s.Events().Listen(t.Context(), "news", func(pubsub.Event) {})
			waiting <- err
		}()
		go func() { waiting <- s.Events().Dispatch(t.Context(), pubsub.Event{Topic: "news"}) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Events().Dispatch(ctx, pubsub.Event{Topic: "news"}); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "Run has not been called") {
			t.Errorf("Dispatch before Run: %v", err)
		}
		must(t, s.Shutdown(t.Context()))
		for range 2 {
			if err := <-waiting; !errors.Is(err, spoke.ErrStopped) {
				t.Errorf("the call that waited: %v", err)
			}
		}
		if err := s.Events().Dispatch(t.Context(), pubsub.Event{Topic: "news"}); !errors.Is(err, spoke.ErrStopped) {
			t.Errorf("Dispatch: %v", err)
		}
		if _, err := s.Events().Listen(t.Context(), "news", func(pubsub.Event) {}); !errors.Is(err, pubsub.ErrClosed) {
			t.Errorf("Listen: %v", err)
		}
	})
}

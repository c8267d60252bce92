package spoke_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	"github.com/alkdev/hubspoke/spoke"
)

// An event of exactly the hub's message size arrives; a larger one fails, and costs the spoke nothing.
func TestEventOfTheHubsMessageSize(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const limit = 4096
		net := hubtest.New(t, &hub.Options{MaxMessageBytes: limit})
		s := net.Spoke("a", nil, nil)
		heard := make(chan int, 1)
		_, err := s.Events().Listen(t.Context(), "t", func(ev pubsub.Event) { heard <- len(ev.Payload) })
		must(t, err)
		around := len(`{"type":"t","payload":""}`)
		for size, fits := range map[int]bool{limit - 1: true, limit: true, limit + 1: false, limit * 2: false} {
			payload := `"` + strings.Repeat("x", size-around) + `"`
			err := s.Events().Dispatch(t.Context(), pubsub.Event{Topic: "t", Payload: json.RawMessage(payload)})
			if fits {
				must(t, err)
				if n := <-heard; n != len(payload) {
					t.Errorf("an event of %d bytes arrived with %d", len(payload), n)
				}
			} else if want := fmt.Sprintf("the event has %d bytes: limit %d (hub.Options.MaxMessageBytes)", size, limit); !errors.Is(err, call.CodeMessageTooLarge) ||
				!strings.Contains(err.Error(), want) {
				t.Errorf("a frame of %d bytes: %v; want %q", size, err, want)
			}
		}
		synctest.Wait()
		if st := s.Stats(); st.Connections != 1 || s.State() != spoke.Registered || len(heard) != 0 {
			t.Errorf("afterwards: %+v, %d more events", st, len(heard))
		}
	})
}

// A hub that does not take a subscription back ends it for all its listeners. The next Listen asks again, for itself.
func TestSubscriptionIsNotTakenBack(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var deny atomic.Bool
		net := hubtest.New(t, &hub.Options{SessionWindow: -1, Authorize: func(a hub.Action) error {
			if a.Verb == hub.Subscribe && a.Name == "news" && deny.Load() {
				return errors.New("not now")
			}
			return nil
		}})
		s := net.Spoke("a", nil, nil)
		var mu sync.Mutex
		var first, second []string // guarded by mu
		note := func(to *[]string) func(pubsub.Event) {
			return func(ev pubsub.Event) {
				mu.Lock()
				defer mu.Unlock()
				switch {
				case ev.End != nil:
					*to = append(*to, "end")
				case ev.Gap:
					*to = append(*to, "gap")
				default:
					*to = append(*to, string(ev.Payload))
				}
			}
		}
		got := func(of *[]string) string {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return strings.Join(*of, " ")
		}
		stop, err := s.Events().Listen(t.Context(), "news", note(&first))
		must(t, err)
		publish(t, net.Hub.Events(), "1")
		synctest.Wait()
		deny.Store(true)
		must(t, s.Reconnect(t.Context()))
		synctest.Wait()
		publish(t, net.Hub.Events(), "2")
		if text := got(&first); text != "1 end" {
			t.Errorf("while the hub denies it the first listener heard %s", text)
		}
		if _, err := s.Events().Listen(t.Context(), "news", note(&second)); err == nil || !strings.Contains(err.Error(), "not now") {
			t.Errorf("a further listener: %v", err)
		}
		deny.Store(false)
		stop2, err := s.Events().Listen(t.Context(), "news", note(&second))
		must(t, err)
		publish(t, net.Hub.Events(), "3")
		if text := got(&second); text != "3" {
			t.Errorf("the second listener heard %s", text)
		}
		if text := got(&first); text != "1 end" {
			t.Errorf("the first listener heard %s", text)
		}
		stop2()
		publish(t, net.Hub.Events(), "4")
		if text := got(&second); text != "3" {
			t.Errorf("after its end the second listener heard %s", text)
		}
		stop() // has no effect
		if s.State() != spoke.Registered {
			t.Errorf("the spoke is %v", s.State())
		}
	})
}

// lateCore takes two seconds to listen.
type lateCore struct {
	pubsub.Local
	listening atomic.Int64
}

func (c *lateCore) Listen(ctx context.Context, topic string, fn func(pubsub.Event)) (func(), error) {
	if topic != "news" {
		return c.Local.Listen(ctx, topic, fn)
	}
	<-time.After(2 * time.Second)
	stop, err := c.Local.Listen(ctx, topic, fn)
	c.listening.Add(1)
	return func() { c.listening.Add(-1); stop() }, err
}

// A listener whose context ends before the hub has subscribed it leaves nothing behind, at the hub either.
func TestListenEndsBeforeItIsSubscribed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		core := &lateCore{}
		net := hubtest.New(t, &hub.Options{Backplane: &hub.Backplane{Events: core}})
		s := net.Spoke("a", nil, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Events().Listen(ctx, "news", func(pubsub.Event) { t.Error("heard") }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Listen: %v", err)
		}
		later(5 * time.Second)
		publish(t, net.Hub.Events(), "1")
		synctest.Wait()
		if n := core.listening.Load(); n != 0 {
			t.Errorf("the hub still listens %d times", n)
		}
		heard := make(chan string, 1)
		_, err := s.Events().Listen(t.Context(), "news", func(ev pubsub.Event) { heard <- string(ev.Payload) })
		must(t, err)
		publish(t, net.Hub.Events(), "2")
		if text := <-heard; text != "2" {
			t.Errorf("heard %s", text)
		}
		must(t, s.Shutdown(t.Context()))
		if _, err := s.Events().Listen(t.Context(), "more", func(pubsub.Event) {}); err == nil {
			t.Error("a spoke that has stopped listens")
		}
		for _, topic := range []string{"", "__x", "call.x", "a.*"} {
			if _, err := s.Events().Listen(t.Context(), topic, func(pubsub.Event) {}); !errors.Is(err, pubsub.ErrInvalidTopic) {
				t.Errorf("topic %q: %v", topic, err)
			}
		}
	})
}

// Run is for one call; States ends with its context.
func TestRunTwice(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		s := net.Spoke("a", nil, nil)
		if err := s.Run(t.Context()); !errors.Is(err, spoke.ErrRunning) {
			t.Errorf("the second Run: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var states []spoke.State
		for st := range s.States(ctx) {
			states = append(states, st)
		}
		if len(states) != 1 || states[0] != spoke.Registered || s.State() != spoke.Registered {
			t.Errorf("states %v, then %v", states, s.State())
		}
	})
}

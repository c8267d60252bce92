package hub_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
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

// What hubs ask each other is not for callers, also not by way of a spoke on
// another hub.
func TestLinkOperationsAreNotForCallers(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := twoHubs(t)
		asker := a.Spoke("asker", nil, nil)
		b.Spoke("bystander", nil, nil)
		victim := b.Spoke("victim", nil, nil)
		in := hub.Presence{SpokeID: "victim", Reason: "bye"}
		for _, opts := range [][]call.Option{nil, {call.To("bystander")}, {call.To("victim")}} {
			_, err := call.Invoke[json.RawMessage](t.Context(), asker, "hub.disconnect", in, opts...)
			if !errors.Is(err, call.CodeOperationNotFound) {
				t.Errorf("answered with %v", err)
			}
		}
		later(time.Second)
		if victim.State() != spoke.Registered {
			t.Errorf("a spoke has disconnected another: %v", victim.State())
		}
	})
}

// A request that names a parent which the hub never asked for is new, and a hub
// that drains takes nothing new.
func TestDrainDoesNotBelieveInParents(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		net.Spoke("w", nil, serveWho("w"))
		near := sendRegistration(t, net.Hub, &call.Identity{ID: call.Anonymous}, "{}")
		t.Cleanup(near.Abort)
		say := func(format string, args ...any) { _ = near.Write([][]byte{fmt.Appendf(nil, format, args...)}) }
		go func() {
			for {
				if _, err := near.Read(); err != nil {
					return
				}
			}
		}()
		go func() {
			for i := range 100 {
				later(500 * time.Millisecond)
				say(`{"type":"call.requested","payload":{"requestId":"q%d","operationId":"test.wait","parentRequestId":"x","timeout":700}}`, i)
			}
		}()
		later(5 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := net.Hub.Shutdown(ctx); err != nil {
			t.Errorf("held up: %v", err)
		}
		later(time.Minute)
	})
}

// switched dials by one of several wires.
type switched struct{ wire atomic.Pointer[hubtest.Wire] }

func (s *switched) Dial(ctx context.Context, url string, h http.Header) (transport.Conn, error) {
	return s.wire.Load().Dial(ctx, url, h)
}

// A subscription to which the spoke has lost the right ends with the refusal, after what has arrived before. Another one can
// be made when the right is back.
func TestSubscribeAgainAfterADenial(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &hub.Options{Authorize: hub.AuthorizeScopes()})
		may := net.Dialer(&call.Identity{ID: "u", Scopes: []string{"hold:*", "subscribe:*"}})
		mayNot := net.Dialer(&call.Identity{ID: "u", Scopes: []string{"hold:*"}})
		d := &switched{}
		d.wire.Store(may)
		s := net.Spoke("s", &spoke.Options{Dialer: d}, nil)
		topic := pubsub.NewTopic[int]("x.y")
		old, err := topic.Subscribe(t.Context(), s.Events(), "")
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		loop, err := topic.Subscribe(t.Context(), s.Events(), "")
		must(t, err)
		go func() {
			var last error
			for _, last = range loop.All() {
			}
			ended <- last
		}()
		must(t, topic.Publish(t.Context(), net.Hub.Events(), "", 6))
		synctest.Wait()
		d.wire.Store(mayNot)
		may.Cut()
		later(5 * time.Second)
		if v, err := old.Next(t.Context()); v != 6 || err != nil {
			t.Errorf("%v, %v", v, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, next := old.Next(ctx)
		for name, err := range map[string]error{"Next": next, "Err": old.Err(), "All": <-ended} {
			if !errors.Is(err, call.CodeAccessDenied) || !strings.Contains(err.Error(), `"x.y"`) || !strings.Contains(err.Error(), "u has no scope for subscribe:x.y") {
				t.Errorf("%s of a subscription that was refused: %v", name, err)
			}
		}
		if _, err := topic.Subscribe(t.Context(), s.Events(), ""); err == nil {
			t.Error("live, although denied")
		}
		d.wire.Store(may)
		mayNot.Cut()
		later(5 * time.Second)
		again, err := topic.Subscribe(t.Context(), s.Events(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer again.Stop()
		if err := topic.Publish(t.Context(), net.Hub.Events(), "", 7); err != nil {
			t.Error(err)
		}
		if v, err := again.Next(t.Context()); err != nil || v != 7 {
			t.Errorf("%v, %v", v, err)
		}
	})
}

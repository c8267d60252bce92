package hub_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
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

// tokens dials with what the identity is at that moment, as a spoke does that
// fetches a token for each dial.
type tokens struct {
	*hubtest.Wire
	net  *hubtest.Network
	next func() *call.Identity
}

func (d *tokens) Dial(ctx context.Context, url string, header http.Header) (transport.Conn, error) {
	return d.net.Dialer(d.next()).Dial(ctx, url, header)
}

// When credentials expire the connection is closed with 4005 and the spoke comes
// back with new ones; calls in flight, both ways, and subscriptions do not notice.
func TestExpiredCredentialsAreRenewedInTheSession(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		var dials atomic.Int64
		fresh := func() *call.Identity {
			dials.Add(1)
			return &call.Identity{ID: "worker", Expires: time.Now().Add(10 * time.Minute)}
		}
		a := net.Spoke("a", &spoke.Options{Dialer: &tokens{net.Dialer(nil), net, fresh}}, func(r *call.Registry) {
			registered(call.Handle(r, call.Operation{Name: "test.slow"}, func(context.Context, any) (string, error) { later(time.Hour); return "done", nil }))
		})
		registered(call.Handle(net.Hub.Operations(), call.Operation{Name: "hubs.slow"}, func(context.Context, any) (string, error) { later(time.Hour); return "done", nil }))
		ended := make(chan error, 2)
		go func() {
			_, err := call.Invoke[string](t.Context(), net.Hub, "test.slow", nil, call.Timeout(2*time.Hour))
			ended <- err
		}()
		go func() {
			_, err := call.Invoke[string](t.Context(), a, "hubs.slow", nil, call.Timeout(2*time.Hour))
			ended <- err
		}()
		gaps := 0
		sub, err := pubsub.NewTopic[int]("n").Subscribe(t.Context(), a.Events(), "", pubsub.OnGap(func(int) { gaps++ }))
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Stop()
		for i := range 55 {
			if err := pubsub.NewTopic[int]("n").Publish(t.Context(), net.Hub.Events(), "", i); err != nil {
				t.Error(err)
			}
			if got, err := sub.Next(t.Context()); got != i || err != nil {
				t.Errorf("event %d is %d, %v", i, got, err)
			}
			later(time.Minute)
		}
		later(10 * time.Minute)
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		s := a.Stats()
		if n := dials.Load(); n != 7 || s.Resumed != 6 || s.Connections != 7 || gaps != 0 {
			t.Errorf("%d dials, %d gaps, %+v", n, gaps, s)
		}
	})
}

// Credentials that are over before they are used open nothing; the spoke goes on
// to ask for better ones.
func TestExpiredBeforeTheRegistration(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		born := time.Now()
		d := &tokens{net.Dialer(nil), net, func() *call.Identity { return &call.Identity{ID: "worker", Expires: born.Add(-time.Second)} }}
		d2 := &tokens{d.Wire, net, func() *call.Identity {
			if time.Since(born) < time.Minute {
				return d.next()
			}
			return &call.Identity{ID: "worker"}
		}}
		a := net.Start("a", &spoke.Options{Dialer: d2}, nil)
		later(30 * time.Second)
		if s := net.Hub.Stats(); s.Spokes != 0 || s.Refused < 3 {
			t.Errorf("%+v", s)
		}
		if err := a.Ready(t.Context()); err != nil || time.Since(born) < time.Minute {
			t.Error(err)
		}
	})
}

func TestExpiredTokenIsRefused(t *testing.T) {
	auth := hub.BearerTokens([]hub.Token{
		{Secret: "old", Identity: call.Identity{ID: "a", Expires: time.Now().Add(-time.Minute)}},
		{Secret: "new", Identity: call.Identity{ID: "a", Expires: time.Now().Add(time.Hour)}},
	})
	for secret, want := range map[string]error{"old": hub.ErrUnauthenticated, "new": nil} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+secret)
		if _, err := auth(r); !errors.Is(err, want) {
			t.Errorf("%s: %v", secret, err)
		}
	}
}

// New credentials that permit less end the subscriptions that they do not permit.
func TestNewCredentialsMayPermitLess(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &hub.Options{Authorize: hub.AuthorizeScopes()})
		rights := []string{"hold:a", "subscribe:open", "subscribe:closed"}
		d := &tokens{net.Dialer(nil), net, func() *call.Identity {
			id := &call.Identity{ID: "worker", Scopes: rights, Expires: time.Now().Add(time.Minute)}
			rights = rights[:2]
			return id
		}}
		a := net.Spoke("a", &spoke.Options{Dialer: d}, nil)
		heard, ends := map[string]int{}, map[string]int{}
		for _, topic := range []string{"open", "closed"} {
			stop, err := a.Events().Listen(t.Context(), topic, func(ev pubsub.Event) {
				if ev.End != nil {
					ends[topic]++
				} else {
					heard[topic]++
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
		}
		for range 2 {
			for _, topic := range []string{"open", "closed"} {
				_ = net.Hub.Events().Dispatch(t.Context(), pubsub.Event{Topic: topic})
			}
			synctest.Wait()
			later(90 * time.Second)
		}
		if s := a.Stats(); heard["open"] != 2 || heard["closed"] != 1 || s.Resumed == 0 {
			t.Errorf("heard %v, %+v", heard, s)
		}
		if ends["open"] != 0 || ends["closed"] != 1 {
			t.Errorf("ended %v, want the one where the right was lost", ends)
		}
	})
}

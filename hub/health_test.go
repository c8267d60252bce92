package hub_test

import (
	"context"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
)

func TestHealth(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		degraded := hub.Health{Status: hub.StatusDegraded, Reasons: []string{"the directory"}}
		for _, test := range []struct {
			backplane *hub.Backplane
			want      hub.Health
		}{
			{nil, hub.Health{Status: hub.StatusOK}},
			{&hub.Backplane{}, hub.Health{Status: hub.StatusOK}},
			{&hub.Backplane{Health: func() hub.Health { return degraded }}, degraded},
		} {
			net := hubtest.New(t, &hub.Options{Backplane: test.backplane})
			if got := net.Hub.Health(); !reflect.DeepEqual(got, test.want) || net.Hub.Draining() {
				t.Errorf("%+v: %+v, draining %v", test.backplane, got, net.Hub.Draining())
			}
			started := make(chan struct{})
			net.Spoke("busy", nil, func(r *call.Registry) {
				registered(call.Handle(r, call.Operation{Name: "test.slow"}, func(context.Context, any) (any, error) {
					close(started)
					later(time.Second)
					return nil, nil
				}))
			})
			go func() { _, _ = call.Invoke[any](t.Context(), net.Hub, "test.slow", nil) }()
			<-started
			done := make(chan error)
			go func() { done <- net.Hub.Shutdown(t.Context()) }()
			synctest.Wait()
			if got := net.Hub.Health(); !reflect.DeepEqual(got, hub.Health{Status: hub.StatusDraining}) || !net.Hub.Draining() {
				t.Errorf("%+v, in Shutdown: %+v, draining %v", test.backplane, got, net.Hub.Draining())
			}
			must(t, <-done)
		}
	})
}

// What Options returns is the caller's, and has the defaults that the comments name.
func TestOptionsInForce(t *testing.T) {
	h, err := hub.New(&hub.Options{AllowAnonymous: true, ID: "h", Origins: []string{"a.example"},
		Interceptors: []call.Interceptor{func(next call.Handler) call.Handler { return next }}})
	must(t, err)
	defer h.Close()
	o := h.Options()
	o.Origins[0], o.Interceptors[0] = "b.example", nil
	got := h.Options()
	if got.Origins[0] != "a.example" || got.Interceptors[0] == nil || h.ID() != "h" {
		t.Error("a change of what Options returned changed the hub")
	}
	for name, want := range map[string]int64{
		"MaxConnections": 65_536, "MaxIdentityConnections": 16_384, "FramesPerSecond": 1_000_000, "BytesPerSecond": 1 << 30,
		"RateBurst": int64(time.Second), "MaxRegistrationBytes": 256 << 10, "MaxDepth": 256, "MaxMessageBytes": 1 << 20,
		"MaxInFlight": 64, "MaxSpokeInFlight": 4096, "MaxOperations": 1024, "MaxTopics": 10_000, "LogBytes": 4 << 20, "EventBytes": 1 << 20,
		"SessionWindow": int64(15 * time.Second), "MaxWaiting": 10_000, "MaxWaitingBytes": 256 << 20,
		"HandshakeTimeout": int64(10 * time.Second), "HeartbeatInterval": int64(25 * time.Second), "HeartbeatTimeout": int64(10 * time.Second),
		"WriteTimeout": int64(30 * time.Second), "StreamGrace": int64(5 * time.Second), "DrainTimeout": int64(time.Minute), "DrainSpread": int64(5 * time.Second),
	} {
		if value := reflect.ValueOf(got).FieldByName(name).Int(); value != want {
			t.Errorf("%s is %d by default, want %d", name, value, want)
		}
	}
	large, err := hub.New(&hub.Options{AllowAnonymous: true, MaxMessageBytes: 5 << 20})
	must(t, err)
	defer large.Close()
	if n := large.Options().LogBytes; n != 10<<20 {
		t.Errorf("LogBytes is %d for messages of 5 MiB, want twice that", n)
	}
}

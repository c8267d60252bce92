package hub_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/spoke"
)

// A listener that panics, of the hub's program or of a spoke's, ends neither program nor connection: it is counted and
// logged, hears the next event, and the other listeners hear this one.
func TestListenerThatPanics(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var hubLog, spokeLog bytes.Buffer
		hubLogger, spokeLogger := zerolog.New(zerolog.SyncWriter(&hubLog)), zerolog.New(zerolog.SyncWriter(&spokeLog))
		net := hubtest.New(t, &hub.Options{AllowAnonymous: true, Logger: &hubLogger})
		a := net.Spoke("a", &spoke.Options{Logger: &spokeLogger, OnState: func(spoke.State) { panic("on purpose") }}, nil)
		b := net.Spoke("b", nil, nil)
		var bad, good atomic.Int64
		anna := &call.Identity{ID: "anna"}
		for _, target := range []pubsub.EventTarget{net.Hub.Events(), net.Hub.EventsAs(anna), a.Events()} {
			for range 2 {
				for _, fn := range []func(pubsub.Event){
					func(pubsub.Event) { bad.Add(1); panic("on purpose") }, func(pubsub.Event) { good.Add(1) },
				} {
					stop, err := target.Listen(t.Context(), "t", fn)
					if err != nil {
						t.Fatal(err)
					}
					defer stop()
				}
			}
		}
		const events = 3
		for i := range events {
			from := []pubsub.EventTarget{b.Events(), net.Hub.Events(), a.Events()}[i]
			if err := from.Dispatch(t.Context(), pubsub.Event{Topic: "t", Payload: []byte("1")}); err != nil {
				t.Error(err)
			}
			<-time.After(time.Second)
		}
		synctest.Wait()
		if bad.Load() != 6*events || good.Load() != 6*events {
			t.Errorf("%d and %d events", bad.Load(), good.Load())
		}
		if n := net.Hub.Stats().Panics; n != 4*events {
			t.Errorf("the hub has counted %d panics", n)
		}
		if n := a.Stats().Panics; n != 2*events+1 { // and the state registered
			t.Errorf("the spoke has counted %d panics", n)
		}
		for _, log := range []string{hubLog.String(), spokeLog.String()} {
			if !strings.Contains(log, `"topic":"t","panic":"on purpose","stack":`) {
				t.Errorf("not logged: %s", log)
			}
		}
	})
}

// A token function that panics is an attempt that failed.
func TestTokenFunctionThatPanics(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		var asked atomic.Int64
		s := net.Spoke("s", &spoke.Options{Token: func(context.Context) (string, error) {
			if asked.Add(1) == 1 {
				panic("on purpose")
			}
			return "token", nil
		}}, nil)
		if err := s.LastError(); err == nil || !strings.Contains(err.Error(), "token: the function panicked: on purpose") {
			t.Errorf("%v", err)
		}
		if errors.Is(s.LastError(), context.Canceled) || asked.Load() != 2 {
			t.Errorf("asked %d times", asked.Load())
		}
	})
}

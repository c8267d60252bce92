package wstarget_test

import (
	"context"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/pubsub/pubsubtest"
	"github.com/alkdev/hubspoke/pubsub/wstarget"
	"github.com/alkdev/hubspoke/transport"
)

// join makes a session between a target and a fan-out. If delay is not nil, it is how long each message takes.
func join(target *wstarget.Target, f *wstarget.Fanout, core pubsub.EventTarget, delay func() time.Duration) (spoke, hub *end) {
	spokeConn, hubConn := transport.Pipe(nil)
	if delay != nil {
		far, near := transport.Pipe(nil)
		go relay(hubConn, far, delay)
		go relay(far, hubConn, delay)
		hubConn = near
	}
	hub = connectEndpoint(f, core, hubConn, session.Options{}, 0)
	return connectTarget(target, spokeConn, session.Options{}), hub
}

// relay carries messages from one connection to another until one of them ends.
func relay(from, to transport.Conn, delay func() time.Duration) {
	defer to.Abort()
	defer from.Abort()
	for {
		data, err := from.Read()
		if err != nil {
			return
		}
		<-time.After(delay())
		if to.Write([][]byte{data}) != nil {
			return
		}
	}
}

// A target passes the suite of event targets: published to by itself, by another one, and by the hub's program.
func TestContract(t *testing.T) {
	for name, ends := range map[string]func(core pubsub.EventTarget, a, b *wstarget.Target) (publisher, subscriber pubsub.EventTarget){
		"itself":       func(_ pubsub.EventTarget, a, _ *wstarget.Target) (_, _ pubsub.EventTarget) { return a, a },
		"another":      func(_ pubsub.EventTarget, a, b *wstarget.Target) (_, _ pubsub.EventTarget) { return a, b },
		"hub to spoke": func(core pubsub.EventTarget, a, _ *wstarget.Target) (_, _ pubsub.EventTarget) { return core, a },
		"spoke to hub": func(core pubsub.EventTarget, a, _ *wstarget.Target) (_, _ pubsub.EventTarget) { return a, core },
	} {
		t.Run(name, func(t *testing.T) {
			pubsubtest.TestTarget(t, func(t *testing.T) (_, _ pubsub.EventTarget) {
				core, f := newHub()
				var a, b wstarget.Target
				for _, target := range []*wstarget.Target{&a, &b} {
					spoke, hub := join(target, f, core, nil)
					t.Cleanup(func() { target.Close(nil); spoke.close(); hub.close() })
				}
				publisher, subscriber := ends(core, &a, &b)
				return publisher, settled{subscriber, publisher}
			})
		})
	}
}

// settled lets what the publisher has dispatched arrive before a new listener is there. The suite's model expects that a
// listener hears nothing from before it; the contract leaves it open.
type settled struct {
	pubsub.EventTarget
	publisher pubsub.EventTarget
}

func (s settled) Listen(ctx context.Context, topic string, fn func(pubsub.Event)) (stop func(), err error) {
	if ctx.Err() == nil {
		arrived := make(chan struct{}, 1)
		unfence, err := s.EventTarget.Listen(ctx, "settled.fence", func(pubsub.Event) {
			select {
			case arrived <- struct{}{}:
			default:
			}
		})
		if err != nil {
			return nil, err
		}
		defer unfence()
		if err := s.publisher.Dispatch(ctx, pubsub.Event{Topic: "settled.fence"}); err != nil {
			return nil, err
		}
		<-arrived
	}
	return s.EventTarget.Listen(ctx, topic, fn)
}

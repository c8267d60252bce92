package hub_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// A connection that is silent in one direction is dropped at both ends within the
// heartbeat's time, and with a session the calls in flight go on over the next one.
func TestHalfOpenConnectionIsResumed(t *testing.T) {
	for name, d := range map[string]hubtest.Direction{"to the hub": hubtest.ToHub, "to the spoke": hubtest.ToSpoke} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				net := hubtest.New(t, nil)
				var ran atomic.Int64
				a := net.Spoke("a", nil, func(r *call.Registry) {
					registered(call.Handle(r, call.Operation{Name: "test.slow"}, func(context.Context, any) (string, error) {
						ran.Add(1)
						later(2 * time.Minute)
						return "done", nil
					}))
				})
				ended := make(chan error, 1)
				go func() {
					_, err := call.Invoke[string](t.Context(), net.Hub, "test.slow", nil, call.Timeout(time.Hour))
					ended <- err
				}()
				later(30 * time.Second)
				a.Wire.Stall(d)
				time.AfterFunc(37*time.Second, a.Wire.Resume) // what dials meanwhile is stalled too
				later(50 * time.Second)
				s := a.Stats()
				if s.Connections < 2 || s.Resumed == 0 || net.Hub.Stats().Resumed == 0 {
					t.Errorf("not resumed after 50 s: %+v", s)
				}
				if err := <-ended; err != nil || ran.Load() != 1 {
					t.Errorf("%v, ran %d times", err, ran.Load())
				}
			})
		})
	}
}

// noPongs is a hub that never answers __ping, and a network that eats what
// answers a WebSocket ping.
type noPongs struct{ *hubtest.Wire }

func (d noPongs) Dial(ctx context.Context, url string, header http.Header) (transport.Conn, error) {
	conn, err := d.Wire.Dial(ctx, url, header)
	return withoutPongs{conn}, err
}

type withoutPongs struct{ transport.Conn }

func (c withoutPongs) Read() ([]byte, error) {
	for {
		data, err := c.Conn.Read()
		if f, ferr := parseFrame(data); err != nil || ferr != nil || f.Type != "__pong" {
			return data, err
		}
	}
}

func (c withoutPongs) TryRead() ([]byte, bool, error) { return nil, false, nil }

// A busy connection is never dropped for lack of pongs: anything received is life.
// The other direction may be silent but for what answers nobody's ping.
func TestBusyConnectionNeedsNoPongs(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		hears := net.Spoke("hears", &spoke.Options{Dialer: noPongs{net.Dialer(nil)}}, nil)
		stop, err := hears.Events().Listen(t.Context(), "tick", func(pubsub.Event) {})
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		// This one sends and does not read, so it answers no ping.
		a, b := transport.Pipe(nil)
		accepted := make(chan bool, 1)
		go func() { accepted <- net.Hub.Accept(b, &call.Identity{ID: call.Anonymous}) }()
		write := func(frame string) {
			if err := a.Write([][]byte{[]byte(frame)}); err != nil {
				t.Error(err)
			}
		}
		write(`{"type":"call.requested","payload":{"requestId":"1","operationId":"hub.register","input":{"spokeId":"speaks"}}}`)
		if !<-accepted {
			t.Fatal("not registered")
		}
		for range 300 {
			later(20 * time.Second)
			write(`{"type":"tock"}`)
			_ = net.Hub.Events().Dispatch(t.Context(), pubsub.Event{Topic: "tick"})
		}
		if s := net.Hub.Stats(); s.Spokes != 2 || hears.Stats().Connections != 1 {
			t.Errorf("%+v, %+v", s, hears.Stats())
		}
		later(45 * time.Second) // now it is silent
		if s := net.Hub.Stats(); s.Spokes != 1 {
			t.Errorf("a silent one is still there: %+v", s)
		}
		for err = nil; err == nil; {
			_, err = a.Read()
		}
		if ce, ok := errors.AsType[*transport.CloseError](err); !ok || ce.Code != transport.CloseHeartbeatMissed {
			t.Error(err)
		}
	})
}

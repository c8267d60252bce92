package hub_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"sync"
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

// Who comes when all seats are taken is told to come back, and gets in when one is free.
func TestFullHubIsComeBackTo(t *testing.T) {
	for status, o := range map[int]*hub.Options{
		http.StatusServiceUnavailable: {MaxConnections: 1},
		http.StatusTooManyRequests:    {MaxIdentityConnections: 1},
	} {
		h := socketHub(t, o)
		first := socketSpoke(t, h, "first")
		dialer := &transport.WebSocketDialer{Subprotocols: []string{hub.Subprotocol}}
		_, err := dialer.Dial(t.Context(), h.url, nil)
		if he, ok := errors.AsType[*transport.HandshakeError](err); !ok || he.Status != status || he.RetryAfter < time.Second {
			t.Errorf("%v, want %d with Retry-After", err, status)
		}
		if s := h.Stats(); s.Refused != 1 || s.Spokes != 1 || s.Connections != 1 {
			t.Errorf("%+v", s)
		}
		if err := first.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		// Its seat is free when the hub's end of the connection has ended, a moment later.
		for {
			conn, err := dialer.Dial(t.Context(), h.url, nil)
			if err == nil {
				conn.Abort()
				break
			}
			if he, ok := errors.AsType[*transport.HandshakeError](err); !ok || he.Status != status {
				t.Fatal(err)
			}
		}
	}
}

// What is no WebSocket handshake, or a broken one, is answered, counted, and leaves its place.
func TestBrokenHandshakesLeaveTheirPlace(t *testing.T) {
	h := socketHub(t, &hub.Options{MaxConnections: 1, MaxIdentityConnections: 1})
	refused := uint64(0)
	for name, header := range map[string]http.Header{
		"no handshake":   {},
		"no key":         {"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"13"}},
		"version":        {"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"12"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}},
		"another origin": {"Origin": {"https://other.test"}, "Upgrade": {"websocket"}, "Connection": {"Upgrade"}},
	} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", h.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = header
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		res.Body.Close()
		refused++
		if s := h.Stats(); res.StatusCode < 400 || res.StatusCode >= 500 || s.Refused != refused {
			t.Errorf("%s: status %d, %d refused", name, res.StatusCode, s.Refused)
		}
		for h.Stats().Connections > 0 {
			runtime.Gosched()
		}
	}
	socketSpoke(t, h, "well")
}

// A rate that is negative bounds nothing, and the other one still does.
func TestOneRateMayBeOff(t *testing.T) {
	for name, c := range map[string]struct {
		o       hub.Options
		payload int
		limited bool
	}{
		"both off, many":   {hub.Options{FramesPerSecond: -1, BytesPerSecond: -1}, 1, false},
		"both off, large":  {hub.Options{FramesPerSecond: -1, BytesPerSecond: -1}, 100_000, false},
		"frames, many":     {hub.Options{FramesPerSecond: 10, BytesPerSecond: -1}, 1, true},
		"frames off, many": {hub.Options{FramesPerSecond: -1, BytesPerSecond: 1 << 40}, 1, false},
		"bytes, large":     {hub.Options{FramesPerSecond: -1, BytesPerSecond: 100_000}, 100_000, true},
		"bytes off, large": {hub.Options{FramesPerSecond: 100_000, BytesPerSecond: -1}, 100_000, false},
	} {
		bubble.Test(t, func(t *testing.T) {
			c.o.AllowAnonymous = true
			h, err := hub.New(&c.o)
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			conn := rawSpoke(t, h, &call.Identity{ID: "one"}, `{"spokeId":"writer"}`)
			defer conn.Abort()
			event := []byte(`{"type":"news","payload":"` + strings.Repeat("x", c.payload) + `"}`)
			go func() {
				for range 500 {
					if conn.Write([][]byte{event}) != nil {
						return
					}
				}
			}()
			go func() {
				for {
					if _, err := conn.Read(); err != nil {
						return
					}
				}
			}()
			synctest.Wait()
			if s := h.Stats(); s.RateLimited != 0 != c.limited || !c.limited && s.Published != 500 {
				t.Errorf("%s: %d limited, %d published", name, s.RateLimited, s.Published)
			}
		})
	}
}

func TestLimitsMayBeOff(t *testing.T) {
	h, err := hub.New(&hub.Options{AllowAnonymous: true, MaxConnections: -1, MaxIdentityConnections: -1, FramesPerSecond: -1, BytesPerSecond: -1})
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
	for _, o := range []hub.Options{{RateBurst: -1}, {MaxDepth: -1}, {MaxRegistrationBytes: -1}, {MaxSpokeInFlight: -1}} {
		o.AllowAnonymous = true
		if _, err := hub.New(&o); !errors.Is(err, hub.ErrOptions) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// A spoke that keeps calling as fast as it can is far from the rates of the defaults.
func TestBusySpokeIsNotLimited(t *testing.T) {
	h := socketHub(t, nil)
	a := socketSpokeWith(t, h, "a", &spoke.Options{}, func(r *call.Registry) {
		registered(call.Handle(r, call.Operation{Name: "test.echo"}, func(_ context.Context, in int) (int, error) { return in, nil }))
	})
	start := time.Now()
	for i := 0; time.Since(start) < 300*time.Millisecond; i++ {
		if out, err := call.Invoke[int](t.Context(), h, "test.echo", i); err != nil || out != i {
			t.Fatal(out, err)
		}
		for range 50 {
			if err := a.Events().Dispatch(t.Context(), pubsub.Event{Topic: "some.topic"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s := h.Stats(); s.RateLimited != 0 || a.Stats().Connections != 1 {
		t.Errorf("%+v", s)
	}
}

// After 4003 the session has ended, and the spoke comes back with another.
func TestRateLimitedSpokeComesBack(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &hub.Options{FramesPerSecond: 50})
		a := net.Spoke("a", nil, nil)
		waited := make(chan error, 1)
		registered(call.Handle(net.Hub.Operations(), call.Operation{Name: "test.wait"}, func(ctx context.Context, _ any) (any, error) { <-ctx.Done(); return nil, nil }))
		go func() {
			_, err := call.Invoke[any](t.Context(), a, "test.wait", nil, call.Timeout(time.Hour))
			waited <- err
		}()
		synctest.Wait()
		for range 100 {
			_ = a.Events().Dispatch(t.Context(), pubsub.Event{Topic: "some.topic"})
		}
		if err := <-waited; !errors.Is(err, call.CodeDisconnected) {
			t.Error(err)
		}
		later(time.Minute)
		if s := net.Hub.Stats(); s.RateLimited != 1 || s.Spokes != 1 || s.Resumed != 0 || a.State() != spoke.Registered {
			t.Errorf("%+v, %v", s, a.State())
		}
	})
}

// Over MaxWaiting a session ends with its connection; those that wait are kept.
func TestSessionsWaitingInAll(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &hub.Options{MaxWaiting: 1})
		hold := func(r *call.Registry) {
			registered(call.Handle(r, call.Operation{Name: "test.hold"}, func(context.Context, any) (string, error) { later(5 * time.Second); return "held", nil }))
		}
		ended := map[string]chan error{"a": make(chan error, 1), "b": make(chan error, 1)}
		var spokes []*hubtest.Spoke
		for _, id := range []string{"a", "b"} {
			spokes = append(spokes, net.Spoke(id, nil, hold))
			go func() {
				_, err := call.Invoke[string](t.Context(), net.Hub, "test.hold", nil, call.To(id))
				ended[id] <- err
			}()
		}
		later(time.Second)
		for _, s := range spokes { // a first
			s.Wire.Refuse(errors.New("no route"))
			s.Wire.Cut()
			synctest.Wait()
		}
		if s := net.Hub.Stats(); s.Waiting != 1 || s.Spokes != 1 {
			t.Errorf("%+v", s)
		}
		if err := <-ended["b"]; !errors.Is(err, call.CodeDisconnected) {
			t.Errorf("b, over the limit: %v", err)
		}
		for _, s := range spokes {
			s.Wire.Refuse(nil)
		}
		if err := <-ended["a"]; err != nil {
			t.Errorf("a, which waited: %v", err)
		}
		later(time.Minute)
		if s := net.Hub.Stats(); s.Waiting != 0 || s.Spokes != 2 || s.Resumed != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// A spoke that announces no maxInFlight serves 64 calls at once, the default of the protocol.
func TestDefaultInFlightOfASpoke(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &hub.Options{AllowAnonymous: true})
		conn := rawSpoke(t, net.Hub, &call.Identity{ID: "s"}, `{"spokeId":"s","operations":[{"name":"slow.op"}]}`)
		go func() {
			for {
				if _, err := conn.Read(); err != nil {
					return
				}
			}
		}()
		ctx, cancel := context.WithCancel(t.Context())
		var calls sync.WaitGroup
		for range 64 {
			calls.Go(func() {
				if _, err := call.Invoke[any](ctx, net.Hub, "slow.op", nil); !errors.Is(err, call.CodeAborted) {
					t.Errorf("one of the first 64: %v", err)
				}
			})
		}
		synctest.Wait()
		if _, err := call.Invoke[any](t.Context(), net.Hub, "slow.op", nil); !errors.Is(err, call.CodeOverloaded) {
			t.Errorf("the 65th: %v", err)
		}
		cancel()
		calls.Wait()
		conn.Abort()
	})
}

// A spoke that announces no limit is sent no more than the hub's own at the same time.
func TestSpokeWithoutALimitOfItsOwn(t *testing.T) {
	for registration, want := range map[string]int{`{"operations":[{"name":"a.b"}]}`: 3, `{"maxInFlight":2,"operations":[{"name":"a.b"}]}`: 2, `{"maxInFlight":9,"operations":[{"name":"a.b"}]}`: 3} {
		bubble.Test(t, func(t *testing.T) {
			h, err := hub.New(&hub.Options{AllowAnonymous: true, MaxSpokeInFlight: 3})
			must(t, err)
			defer h.Close()
			conn := rawSpoke(t, h, &call.Identity{ID: "one"}, registration)
			defer conn.Abort()
			overloaded := 0
			var all sync.WaitGroup
			for range 5 {
				all.Go(func() {
					_, err := h.Call(t.Context(), &call.Request{Operation: "a.b", Timeout: time.Second})
					if errors.Is(err, call.CodeOverloaded) {
						overloaded++
					}
				})
				synctest.Wait()
			}
			all.Wait()
			if overloaded != 5-want {
				t.Errorf("%s: %d of 5 calls were refused, want %d", registration, overloaded, 5-want)
			}
		})
	}
}

// The event of a spoke's end has the reason of the side that closed its connection.
func TestReasonsOfAnEnd(t *testing.T) {
	for want, end := range map[string]func(*hub.Hub, transport.Conn){
		"left":            func(_ *hub.Hub, c transport.Conn) { c.Close(transport.CloseLeft, "whatever") },
		"going home":      func(_ *hub.Hub, c transport.Conn) { c.Close(transport.CloseNormal, "going home") },
		"normal closure":  func(_ *hub.Hub, c transport.Conn) { c.Close(transport.CloseNormal, "") },
		"connection lost": func(_ *hub.Hub, c transport.Conn) { c.Abort() },
		"too loud":        func(h *hub.Hub, _ transport.Conn) { _, _ = h.Disconnect(context.Background(), "w", "too loud") },
	} {
		bubble.Test(t, func(t *testing.T) {
			h, err := hub.New(&hub.Options{AllowAnonymous: true})
			must(t, err)
			defer h.Close()
			reasons := make(chan string, 10)
			stop, err := h.Events().Listen(t.Context(), hub.TopicDisconnected, func(ev pubsub.Event) { reasons <- string(ev.Payload) })
			must(t, err)
			defer stop()
			c := rawSpoke(t, h, &call.Identity{ID: "one"}, `{"spokeId":"w"}`)
			go func() {
				for {
					if _, err := c.Read(); err != nil {
						return
					}
				}
			}()
			end(h, c)
			if got := <-reasons; !strings.Contains(got, `"reason":"`+want+`"`) {
				t.Errorf("%s, want the reason %q", got, want)
			}
		})
	}
}

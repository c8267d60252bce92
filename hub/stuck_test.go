package hub_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/spoke"
)

const (
	stuckSpokes = 200
	stuckEvents = 1500
	stuckBytes  = 4 << 10
)

// stuckReader registers, with a session or without, subscribes, and reads no more.
func stuckReader(t *testing.T, url string, i int, session bool, topic string) *websocket.Conn {
	t.Helper()
	o := &websocket.DialOptions{HTTPClient: &http.Client{Transport: &http.Transport{DialContext: smallWindow}}}
	c, _, err := websocket.Dial(t.Context(), url, o) //nolint:bodyclose // the library closes it
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadLimit(-1)
	t.Cleanup(func() { _ = c.CloseNow() })
	input := fmt.Sprintf(`{"spokeId":"stuck-%d"}`, i)
	if session {
		input = fmt.Sprintf(`{"spokeId":"stuck-%d","instanceId":"i%d","attempt":1,"session":{}}`, i, i)
	}
	for _, frame := range []string{
		`{"type":"call.requested","payload":{"requestId":"r","operationId":"hub.register","input":` + input + `}}`,
		`{"type":"__subscribe","payload":{"topic":"` + topic + `"}}`,
	} {
		if err := c.Write(t.Context(), websocket.MessageText, []byte(frame)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// smallListener accepts so that the kernel takes little of what is not read.
type smallListener struct{ net.Listener }

func (l smallListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		err = c.(*net.TCPConn).SetWriteBuffer(128 << 10)
	}
	return c, err
}

// stuckHub is a hub behind such a listener.
func stuckHub(t *testing.T, o *hub.Options) server {
	t.Helper()
	o.AllowAnonymous = true
	// One that does not read is silent and takes no byte. It is not to be dropped for that before it is looked at,
	// however busy the machine.
	o.HeartbeatInterval, o.WriteTimeout = time.Hour, time.Hour
	h, err := hub.New(o)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(h)
	srv.Listener = smallListener{srv.Listener}
	srv.Start()
	t.Cleanup(func() {
		h.Close()
		if err := h.Shutdown(cleanupContext(t)); err != nil {
			t.Errorf("the hub did not end: %v", err)
		}
		srv.Close()
	})
	return server{h, srv.URL}
}

// smallWindow dials so that the kernel takes little of what is not read.
func smallWindow(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err == nil {
		err = c.(*net.TCPConn).SetReadBuffer(128 << 10)
	}
	return c, err
}

// peakHeap samples the heap until stop, which gives its peak above what it was.
func peakHeap() (stop func() int64) {
	read := func() int64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	runtime.GC()
	before := read()
	var peak atomic.Int64
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				peak.Store(max(peak.Load(), read()))
			case <-quit:
				return
			}
		}
	}()
	return func() int64 { close(quit); <-done; return max(peak.Load(), read()) - before }
}

// 200 spokes stop reading while events flow: the others do not notice, the hub
// holds no more than its bounds, and those who read again find a gap told, or 4002.
func TestStuckReaders(t *testing.T) {
	for name, c := range map[string]struct {
		o     hub.Options
		own   bool  // a topic for each: nothing is shared
		bound int64 // of the heap, in MiB
	}{
		// Shared frames are held once. What is 200 times there are lists of them and buffers for a write.
		"one topic": {o: hub.Options{}, bound: 96},
		// Nothing is shared: 200 times the budgets of the log and of events and a write, two and a half times, for
		// what the collector has not collected.
		"a topic each":   {o: hub.Options{LogBytes: 256 << 10, EventBytes: 128 << 10, MaxMessageBytes: 64 << 10}, own: true, bound: 200 * (256 + 128 + 64) * 5 / 2 >> 10},
		"closed as slow": {o: hub.Options{CloseSlowReaders: true}, bound: 96},
	} {
		t.Run(name, func(t *testing.T) {
			h := stuckHub(t, &c.o)
			topic := func(i int) string {
				if c.own {
					return fmt.Sprintf("news-%d", i)
				}
				return "news"
			}
			stuck := make([]*websocket.Conn, stuckSpokes)
			for i := range stuck {
				stuck[i] = stuckReader(t, h.url, i, i%2 == 0, topic(i))
			}
			slow := slowOnes(t, h)
			good := socketSpokeWith(t, h, "good", &spoke.Options{}, func(r *call.Registry) {
				registered(call.Handle(r, call.Operation{Name: "good.op"}, func(_ context.Context, in int) (int, error) { return in, nil }))
			})
			stop := peakHeap()
			calls, events := flood200(t, h, good, topic, c.own)
			peak := stop()
			t.Logf("stuck readers, %s: peak heap %.1f MiB above an idle hub (bound %d MiB); calls take %v, at most %v; events %v, at most %v",
				name, float64(peak)/(1<<20), c.bound, median(calls), slices.Max(calls), median(events), slices.Max(events))
			if peak > c.bound<<20 {
				t.Errorf("the heap grew by %d bytes", peak)
			}
			if median(calls) > 100*time.Millisecond || median(events) > 100*time.Millisecond { // far above what it is on a busy machine
				t.Error("the others noticed")
			}
			if c.o.CloseSlowReaders {
				for range stuckSpokes {
					<-slow
				}
				return
			}
			for _, s := range stuck[:4] { // two of each kind
				wantGap(t, s)
			}
		})
	}
}

// slowOnes gives one for each spoke that the hub disconnects as a slow reader.
func slowOnes(t *testing.T, h server) <-chan struct{} {
	t.Helper()
	out := make(chan struct{}, stuckSpokes)
	stop, err := h.Events().Listen(t.Context(), hub.TopicDisconnected, func(ev pubsub.Event) {
		if strings.Contains(string(ev.Payload), "not read") {
			out <- struct{}{}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return out
}

func median(times []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(times))[len(times)/2].Round(time.Microsecond)
}

// flood200 publishes, while the good one is called and listens; it gives how long that took each time.
func flood200(t *testing.T, h server, good *spoke.Spoke, topic func(int) string, own bool) (calls, events []time.Duration) {
	t.Helper()
	pings := pubsub.NewTopic[int64]("good.news")
	sub, err := pings.Subscribe(t.Context(), good.Events(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Stop()
	payload, _ := json.Marshal(strings.Repeat("x", stuckBytes))
	for i := range stuckEvents {
		for j := range stuckSpokes {
			if j > 0 && !own {
				break
			}
			if own && i >= stuckEvents/4 {
				break
			}
			if err := h.Events().Dispatch(t.Context(), pubsub.Event{Topic: topic(j), Payload: payload}); err != nil {
				t.Fatal(err)
			}
		}
		if i%20 != 0 {
			continue
		}
		began := time.Now()
		if out, err := call.Invoke[int](t.Context(), h, "good.op", i); err != nil || out != i {
			t.Fatal(out, err)
		}
		called := time.Now()
		if err := pings.Publish(t.Context(), h.Events(), "", int64(i)); err != nil {
			t.Fatal(err)
		}
		if got, err := sub.Next(t.Context()); err != nil || got != int64(i) {
			t.Fatal(got, err)
		}
		calls = append(calls, called.Sub(began))
		events = append(events, time.Since(called))
	}
	return calls, events
}

// wantGap reads to the first __gap. It acknowledges what is counted, as one with a session must; where there is none that
// is ignored. On a busy machine the hub may send uncounted frames, such as __ack.
func wantGap(t *testing.T, c *websocket.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for received := 1; ; { // __subscribed
		_, data, err := c.Read(ctx)
		if err != nil {
			t.Errorf("no __gap after %d messages: %v", received, err)
			return
		}
		f, err := parseFrame(data)
		if err != nil {
			t.Error(err)
			return
		}
		if f.Type == "__gap" {
			return
		}
		if f.Type == "__pong" || f.Type == "__ack" {
			continue
		}
		received++
		ack := fmt.Sprintf(`{"type":"__ack","payload":{"received":%d}}`, received)
		if err := c.Write(ctx, websocket.MessageText, []byte(ack)); err != nil {
			t.Error(err)
			return
		}
	}
}

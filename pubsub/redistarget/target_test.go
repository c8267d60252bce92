package redistarget_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/internal/redistest"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/pubsub/pubsubtest"
	"github.com/alkdev/hubspoke/pubsub/redistarget"
)

// longest is the safety time-out of a test's waits.
const longest = time.Minute

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), longest)
	t.Cleanup(cancel)
	return ctx
}

func newClient(t testing.TB, addrs ...string) rueidis.Client {
	t.Helper()
	return newClientWith(t, rueidis.ClientOption{InitAddress: addrs})
}

func newClientWith(t testing.TB, o rueidis.ClientOption) rueidis.Client {
	t.Helper()
	client, err := rueidis.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func clientOf(t testing.TB, s *redistest.Server) rueidis.Client {
	t.Helper()
	o, err := rueidis.ParseURL(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	return newClientWith(t, o)
}

func newTarget(t testing.TB, client rueidis.Client, o *redistarget.Options) *redistarget.Target {
	t.Helper()
	target, err := redistarget.New(client, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(target.Close)
	return target
}

// quick are options with which trouble is found soon.
func quick() *redistarget.Options {
	return &redistarget.Options{Probe: 200 * time.Millisecond, Timeout: time.Second}
}

func listen(t testing.TB, target pubsub.EventTarget, topic string) *pubsubtest.Recorder {
	t.Helper()
	recorder := new(pubsubtest.Recorder)
	stop, err := target.Listen(testContext(t), topic, recorder.Record)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return recorder
}

func dispatch(t testing.TB, target pubsub.EventTarget, topic, payload string) {
	t.Helper()
	err := target.Dispatch(testContext(t), pubsub.Event{Topic: topic, Payload: []byte(payload)})
	if err != nil {
		t.Fatalf("Dispatch(%q): %v", topic, err)
	}
}

// want waits for as many events and compares; "gap" stands for a gap.
func want(t testing.TB, recorder *pubsubtest.Recorder, payloads ...string) {
	t.Helper()
	events, err := recorder.Wait(testContext(t), len(payloads))
	if err != nil {
		t.Fatalf("%v, got %q, want %q", err, texts(events), payloads)
	}
	if got := fmt.Sprint(texts(events)); got != fmt.Sprint(payloads) {
		t.Fatalf("got %s, want %s", got, payloads)
	}
}

func texts(events []pubsub.Event) []string {
	var all []string
	for _, ev := range events {
		switch {
		case ev.Gap:
			all = append(all, "gap")
		case ev.Payload == nil:
			all = append(all, "null")
		default:
			all = append(all, string(ev.Payload))
		}
	}
	return all
}

func waitHealth(t testing.TB, target *redistarget.Target, up bool) redistarget.Health {
	t.Helper()
	redistest.Poll(t, fmt.Sprintf("the health to be up=%t", up), func() bool { return target.Health().Up == up })
	return target.Health()
}

func TestContract(t *testing.T) {
	server := redistest.Any(t)
	for name, o := range map[string]*redistarget.Options{
		"Plain":   nil,
		"Sharded": {Mode: redistarget.Sharded},
	} {
		t.Run(name+"/OneTarget", func(t *testing.T) {
			pubsubtest.TestTarget(t, func(t *testing.T) (publisher, subscriber pubsub.EventTarget) {
				target := newTarget(t, clientOf(t, server), o)
				return target, target
			})
		})
		t.Run(name+"/TwoTargets", func(t *testing.T) {
			pubsubtest.TestTarget(t, func(t *testing.T) (publisher, subscriber pubsub.EventTarget) {
				return newTarget(t, clientOf(t, server), o), newTarget(t, clientOf(t, server), o)
			})
		})
	}
}

// Other programs on the same Redis take part: redis-cli stands for them.
func TestInterop(t *testing.T) {
	server := redistest.Start(t)
	redisCLI := redistest.CLI(t)
	target := newTarget(t, clientOf(t, server), nil)
	recorder := listen(t, target, "doors:7")

	_, port, _ := strings.Cut(server.Addr(), ":")
	for _, message := range []string{`{"open":true}`, "", "null", "7"} {
		out, err := exec.Command(redisCLI, "-p", port, "PUBLISH", "alk:events:doors:7", message).CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != "1" {
			t.Fatalf("redis-cli PUBLISH: %s, %v", out, err)
		}
	}
	want(t, recorder, `{"open":true}`, "null", "null", "7")

	cli := exec.Command(redisCLI, "-p", port, "SUBSCRIBE", "alk:events:doors:8")
	out, err := cli.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cli.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	expect := func(lineWanted string) {
		t.Helper()
		line, err := lines.ReadString('\n')
		if err != nil || strings.TrimSpace(line) != lineWanted {
			t.Fatalf("redis-cli SUBSCRIBE printed %q (%v), want %q", line, err, lineWanted)
		}
	}
	for _, line := range []string{"subscribe", "alk:events:doors:8", "1"} {
		expect(line)
	}
	dispatch(t, target, "doors:8", `{"open": false}`)
	if err := target.Dispatch(testContext(t), pubsub.Event{Topic: "doors:8"}); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"message", "alk:events:doors:8", `{"open": false}`, "message", "alk:events:doors:8", "null"} {
		expect(line)
	}
	_ = cli.Process.Kill()
	_, _ = io.Copy(io.Discard, lines)
	_ = cli.Wait()
}

// A listener that panics is reported, and the others of the topic hear the event.
func TestListenerThatPanics(t *testing.T) {
	server := redistest.Start(t)
	reported := make(chan error, 16)
	target := newTarget(t, clientOf(t, server), &redistarget.Options{OnError: func(err error) { reported <- err }})
	stop, err := target.Listen(t.Context(), "topic", func(pubsub.Event) { panic("on purpose") })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	recorder := listen(t, target, "topic")
	for _, message := range []string{"1", "2"} {
		server.Do("PUBLISH", "alk:events:topic", message)
		if err := <-reported; !strings.Contains(err.Error(), `a listener of "topic" panicked: on purpose`) {
			t.Errorf("reported: %v", err)
		}
	}
	want(t, recorder, "1", "2")
}

// Messages that do not parse are counted, reported, and gaps of one.
func TestGarbage(t *testing.T) {
	server := redistest.Start(t)
	reported := make(chan error, 16)
	target := newTarget(t, clientOf(t, server), &redistarget.Options{OnError: func(err error) { reported <- err }})
	recorder := listen(t, target, "topic")
	for _, message := range []string{"{", "nul", "\"\xff\"", "1 2", `{"a":}`} {
		server.Do("PUBLISH", "alk:events:topic", message)
	}
	server.Do("PUBLISH", "alk:events:topic", "1")
	events, err := recorder.Wait(t.Context(), 6)
	if err != nil {
		t.Fatal(err)
	}
	for i, ev := range events {
		if i < 5 && (!ev.Gap || ev.Dropped != 1 || ev.Payload != nil) || i == 5 && string(ev.Payload) != "1" {
			t.Errorf("event %d: %+v", i, ev)
		}
	}
	if s := target.Stats(); s.Invalid != 5 || s.Received != 6 || s.Gaps != 5 {
		t.Errorf("Stats: %+v", s)
	}
	if err := <-reported; !strings.Contains(err.Error(), `"topic"`) {
		t.Errorf("reported: %v", err)
	}
}

func TestNewErrors(t *testing.T) {
	server := redistest.Start(t, redistest.Args("--requirepass", "secret"))
	if _, err := redistarget.New(nil, nil); err == nil {
		t.Error("New without a client returned no error")
	}
	client := newClientWith(t, rueidis.ClientOption{InitAddress: []string{server.Addr()}, Password: "secret"})
	newTarget(t, client, nil)
	for name, o := range map[string]*redistarget.Options{
		"Mode 7":   {Mode: 7},
		"negative": {Timeout: -1},
		"collides": {Prefix: "alk:"},
	} {
		if _, err := redistarget.New(client, o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("New with %+v: %v, want %q in it", o, err, name)
		}
	}

	// rueidis.NewClient itself refuses what cannot work, unless Redis changes behind its back.
	open := redistest.Start(t)
	proxy := redistest.NewProxy(t, open.Addr())
	client = newClient(t, proxy.Addr())
	open.Do("CONFIG", "SET", "requirepass", "secret")
	proxy.Cut()
	errorWith := func(text string) {
		t.Helper()
		redistest.Poll(t, "an error of New that says "+text, func() bool {
			target, err := redistarget.New(client, &redistarget.Options{Timeout: time.Second})
			if err == nil {
				target.Close()
				t.Fatal("New returned no error")
			}
			return strings.Contains(err.Error(), text)
		})
	}
	errorWith("set Username and Password")
	open.Kill()
	errorWith("is it running")
}

// What is not RESP3 works too.
func TestRESP2(t *testing.T) {
	server := redistest.Start(t)
	client := newClientWith(t, rueidis.ClientOption{InitAddress: []string{server.Addr()}, AlwaysRESP2: true, DisableCache: true})
	target := newTarget(t, client, quick())
	recorder := listen(t, target, "topic")
	dispatch(t, target, "topic", "1")
	server.Do("CLIENT", "KILL", "TYPE", "pubsub")
	redistest.Poll(t, "a reconnect", func() bool { return target.Stats().Reconnects == 1 })
	dispatch(t, target, "topic", "2")
	want(t, recorder, "1", "gap", "2")
}

func TestCloseEnds(t *testing.T) {
	target := newTarget(t, clientOf(t, redistest.Any(t)), nil)
	sub, err := pubsub.NewTopic[int]("topic").Subscribe(testContext(t), target, "")
	if err != nil {
		t.Fatal(err)
	}
	target.Close()
	target.Close()
	if _, err := sub.Next(testContext(t)); !errors.Is(err, pubsub.ErrClosed) {
		t.Errorf("Next: %v", err)
	}
	if err := target.Dispatch(t.Context(), pubsub.Event{Topic: "topic"}); !errors.Is(err, pubsub.ErrClosed) {
		t.Errorf("Dispatch: %v", err)
	}
	if _, err := target.Listen(t.Context(), "topic", func(pubsub.Event) {}); !errors.Is(err, pubsub.ErrClosed) {
		t.Errorf("Listen: %v", err)
	}
	result := make(chan error, 1)
	target.DispatchAsync(pubsub.Event{Topic: "topic"}, func(err error) { result <- err })
	if err := <-result; !errors.Is(err, pubsub.ErrClosed) {
		t.Errorf("DispatchAsync: %v", err)
	}
}

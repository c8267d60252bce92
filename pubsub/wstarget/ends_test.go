package wstarget_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/pubsub/wstarget"
	"github.com/alkdev/hubspoke/transport"
)

var (
	errTest = errors.New("on purpose")
	nop     = zerolog.Nop()
)

// end owns the peer of one end.
type end struct {
	peer *peer.Peer
	conn transport.Conn
	ran  chan struct{} // closed when the reader has ended

	// One of them is set.
	target   *wstarget.Target
	endpoint *wstarget.Endpoint
	core     pubsub.EventTarget // where the endpoint's spoke publishes
}

func (e *end) Serve(context.Context, *peer.Incoming) *call.Error { return nil }
func (e *end) Route(*peer.Incoming) bool                         { return false }
func (e *end) Streams(string) bool                               { return false }
func (e *end) MadeFor(id string) (*peer.Incoming, bool)          { return e.peer.MadeFor(id) }
func (e *end) Ends() (this, other string)                        { return "this end", "the other end" }
func (e *end) Log() *zerolog.Logger                              { return &nop }

func (e *end) Event(topic string, payload []byte, err error) {
	switch {
	case e.target != nil && err != nil:
		e.target.Gap(topic, 1)
	case e.target != nil:
		e.target.Event(topic, payload)
	default:
		_ = e.core.Dispatch(context.Background(), pubsub.Event{Topic: topic, Payload: append([]byte(nil), payload...)})
	}
}

func (e *end) Control(m *wire.Message) bool {
	if e.target == nil {
		switch m.Type {
		case wire.Subscribe:
			e.endpoint.Subscribe(string(m.Topic), nil)
		case wire.Unsubscribe:
			e.endpoint.Unsubscribe(string(m.Topic))
		default:
			return false
		}
		return true
	}
	switch m.Type {
	case wire.Subscribed:
		e.target.Subscribed(string(m.Topic))
	case wire.Denied:
		if string(m.Action) == wire.ActionSubscribe {
			e.target.Denied(string(m.Topic), &call.Error{Code: call.Code(m.Code), Message: string(m.Text)})
		}
	case wire.Gap:
		e.target.Gap(string(m.Topic), m.Dropped)
	default:
		return false
	}
	return true
}

// connectTarget makes the session of a target.
func connectTarget(target *wstarget.Target, conn transport.Conn, o session.Options) *end {
	e := &end{target: target}
	e.open(conn, o)
	e.run()
	target.Attach(e.peer)
	return e
}

// connectEndpoint makes the session of an endpoint.
func connectEndpoint(f *wstarget.Fanout, core pubsub.EventTarget, conn transport.Conn, o session.Options, maxTopics int) *end {
	e := &end{core: core}
	e.open(conn, o)
	e.endpoint = f.NewEndpoint(e.peer, maxTopics)
	e.run()
	return e
}

func (e *end) open(conn transport.Conn, o session.Options) {
	sess := session.New(o)
	e.peer = peer.New(context.Background(), peer.Config{Session: sess, Side: e, IDPrefix: "t-"})
	e.conn, e.ran = conn, make(chan struct{})
	if err := sess.Attach(conn); err != nil {
		panic(err)
	}
}

func (e *end) run() {
	go func() { defer close(e.ran); e.peer.End(e.peer.Run(e.conn)) }()
}

// close ends the session and joins what belongs to it.
func (e *end) close() {
	e.peer.End(errTest)
	e.conn.Abort()
	<-e.ran
	if e.target != nil {
		e.target.Detach(e.peer)
	} else {
		e.endpoint.Close()
	}
	e.peer.Wait()
}

// raw is the other end of a connection, frame by frame.
type raw struct {
	conn transport.Conn

	mu     sync.Mutex
	frames []string // received, in short; guarded by mu
	done   chan struct{}
}

func newRaw(conn transport.Conn) *raw {
	r := &raw{conn: conn, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		for {
			data, err := conn.Read()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.frames = append(r.frames, strings.TrimSuffix(strings.TrimPrefix(strings.Replace(string(data), `","payload":`, " ", 1), `{"type":"`), "}"))
			r.mu.Unlock()
		}
	}()
	return r
}

// send writes frames as if the other end had; it returns when they have been read.
func (r *raw) send(t *testing.T, frames ...string) {
	t.Helper()
	for _, f := range frames {
		typ, payload, _ := strings.Cut(f, " ")
		if err := r.conn.Write([][]byte{[]byte(`{"type":"` + typ + `","payload":` + payload + `}`)}); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Wait()
}

// want checks the frames that have been received since it was last called.
func (r *raw) want(t *testing.T, frames ...string) {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if got, want := strings.Join(r.frames, "\n"), strings.Join(frames, "\n"); got != want {
		t.Errorf("received\n%s\nwant\n%s", got, want)
	}
	r.frames = nil
}

// wantAnyOrder is want for frames whose order is open.
func (r *raw) wantAnyOrder(t *testing.T, frames ...string) {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	slices.Sort(r.frames)
	r.mu.Unlock()
	slices.Sort(frames)
	r.want(t, frames...)
}

// rawHub attaches a new session to a target, and returns its hub.
func rawHub(t *testing.T, target *wstarget.Target) (*end, *raw) {
	t.Helper()
	a, b := transport.Pipe(nil)
	e, r := connectTarget(target, a, session.Options{}), newRaw(b)
	t.Cleanup(func() { e.close(); b.Abort(); <-r.done })
	return e, r
}

// rawSpoke makes an endpoint, and returns its spoke.
func rawSpoke(t *testing.T, f *wstarget.Fanout, maxTopics int) (*end, *raw) {
	t.Helper()
	a, b := transport.Pipe(nil)
	e, r := connectEndpoint(f, nil, a, session.Options{}, maxTopics), newRaw(b)
	t.Cleanup(func() { e.close(); b.Abort(); <-r.done })
	return e, r
}

// core is the core of a hub. Its listeners take their time, and fail.
type core struct {
	pubsub.Local
	delay     func() time.Duration // of Listen; nil: none
	fails     func() bool          // nil: never
	held      chan struct{}        // Listen waits for it, or for its context; nil: it does not
	deaf      bool                 // Listen does not end with its context
	ends      bool                 // Listen ends the subscription before it returns
	calls     atomic.Int64         // of Listen
	canceled  atomic.Int64
	listens   atomic.Int64
	listening atomic.Int64
	malformed atomic.Uint64
}

func newHub() (*core, *wstarget.Fanout) {
	c := &core{}
	return c, wstarget.NewFanout(c, &nop, &c.malformed)
}

func (c *core) Listen(ctx context.Context, topic string, fn func(pubsub.Event)) (func(), error) {
	c.calls.Add(1)
	if c.held != nil {
		done := ctx.Done()
		if c.deaf {
			done = nil
		}
		select {
		case <-c.held:
		case <-done:
			c.canceled.Add(1)
			return nil, context.Cause(ctx)
		}
	}
	if c.delay != nil {
		<-time.After(c.delay())
	}
	c.listens.Add(1)
	if c.fails != nil && c.fails() {
		return nil, errTest
	}
	stop, err := c.Local.Listen(ctx, topic, fn)
	if err != nil {
		return nil, err
	}
	if c.ends {
		c.End(topic, errTest)()
	}
	c.listening.Add(1)
	return func() { c.listening.Add(-1); stop() }, nil
}

func publish(t *testing.T, to pubsub.EventTarget, topic, payload string) {
	t.Helper()
	if err := to.Dispatch(context.Background(), pubsub.Event{Topic: topic, Payload: []byte(payload)}); err != nil {
		t.Error(err)
	}
}

// heard is what a listener has heard: payloads, and "gap" with the number of events that are missing.
type heard struct {
	mu   sync.Mutex
	text []string // guarded by mu
}

func (h *heard) note(ev pubsub.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case ev.End != nil:
		h.text = append(h.text, "end", ev.End.Error())
	case ev.Gap && ev.Payload != nil:
		h.text = append(h.text, "gap with a payload")
	case ev.Gap:
		h.text = append(h.text, "gap", string(rune('0'+ev.Dropped)))
	case ev.Payload == nil:
		h.text = append(h.text, "nil")
	default:
		h.text = append(h.text, string(ev.Payload))
	}
}

func (h *heard) want(t *testing.T, text string) {
	t.Helper()
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	if got := strings.Join(h.text, " "); got != text {
		t.Errorf("heard %q, want %q", got, text)
	}
	h.text = nil
}

// listening is the result of a Listen on a goroutine of its own.
type listening struct {
	stop func()
	err  error
}

func listen(ctx context.Context, target *wstarget.Target, topic string, h *heard) <-chan listening {
	c := make(chan listening, 1)
	go func() { stop, err := target.Listen(ctx, topic, h.note); c <- listening{stop, err} }()
	synctest.Wait()
	return c
}

// live returns the stop function of a Listen that must have returned.
func live(t *testing.T, c <-chan listening) func() {
	t.Helper()
	synctest.Wait()
	select {
	case l := <-c:
		if l.err != nil {
			t.Fatalf("Listen: %v", l.err)
		}
		return l.stop
	default:
		t.Fatal("Listen waits")
	}
	return nil
}

func waits(t *testing.T, c <-chan listening) {
	t.Helper()
	synctest.Wait()
	if len(c) != 0 {
		t.Fatalf("Listen has returned: %v", (<-c).err)
	}
}

// stuckHub attaches a new session to a target. Its hub reads nothing, and the queue is short.
func stuckHub(t *testing.T, target *wstarget.Target) (*end, transport.Conn) {
	t.Helper()
	a, b := transport.Pipe(&transport.PipeOptions{BufferBytes: 1000})
	e := connectTarget(target, a, session.Options{LimitBytes: 10_000})
	t.Cleanup(func() { e.close(); b.Abort() })
	return e, b
}

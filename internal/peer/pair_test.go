package peer

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/transport"
)

// config is a Config with a Side of functions, each of which may be nil.
type config struct {
	Session     *session.Session
	IDPrefix    string
	MaxInFlight int
	Limit       string
	Running     *atomic.Int64
	MaxDepth    int
	Gauges      *Gauges
	Remote      string
	Start       bool // Start reads, instead of Run
	Counters    *Counters

	Serve   func(ctx context.Context, in *Incoming) *call.Error
	Relay   func(in *Incoming) bool
	Event   func(topic string, payload []byte)
	Control func(m *wire.Message) bool
	Streams func(operation string) bool
	Ends    func() (this, other string)
	Log     func() *zerolog.Logger
}

func newPeer(ctx context.Context, c config) *Peer {
	f := &testSide{funcs: c}
	f.peer = New(ctx, Config{Session: c.Session, Side: f, IDPrefix: c.IDPrefix, MaxInFlight: c.MaxInFlight, Limit: c.Limit,
		Running: c.Running, MaxDepth: c.MaxDepth, Gauges: c.Gauges, Remote: c.Remote, Counters: c.Counters})
	return f.peer
}

// testSide is a Side of functions.
type testSide struct {
	funcs config
	peer  *Peer
}

var nop = zerolog.Nop()

func (f *testSide) Serve(ctx context.Context, in *Incoming) *call.Error {
	if f.funcs.Serve == nil {
		return &call.Error{Code: call.CodeOperationNotFound}
	}
	return f.funcs.Serve(ctx, in)
}

func (f *testSide) Route(in *Incoming) bool { return f.funcs.Relay != nil && f.funcs.Relay(in) }

func (f *testSide) Event(topic string, payload []byte, err error) {
	if f.funcs.Event != nil && err == nil {
		f.funcs.Event(topic, payload)
	}
}

func (f *testSide) Control(m *wire.Message) bool { return f.funcs.Control != nil && f.funcs.Control(m) }

func (f *testSide) Streams(operation string) bool {
	return f.funcs.Streams != nil && f.funcs.Streams(operation)
}

func (f *testSide) MadeFor(id string) (*Incoming, bool) { return f.peer.MadeFor(id) }

func (f *testSide) Ends() (this, other string) {
	if f.funcs.Ends == nil {
		return "this side", "the other side"
	}
	return f.funcs.Ends()
}

func (f *testSide) Log() *zerolog.Logger {
	if f.funcs.Log == nil {
		return &nop
	}
	return f.funcs.Log()
}

// side is one end of a connection in memory.
type side struct {
	*Peer
	conn transport.Conn
	ran  chan struct{} // closed when its reader has ended
}

// serving makes a Config that answers with one handler.
func serving(h call.Handler) config {
	return config{Serve: func(_ context.Context, in *Incoming) *call.Error { return in.Handle(h) }}
}

func newSide(t *testing.T, conn transport.Conn, cfg config, o session.Options) *side {
	t.Helper()
	cfg.Session = session.New(o)
	if cfg.Counters == nil {
		cfg.Counters = &Counters{}
	}
	s := &side{Peer: newPeer(context.Background(), cfg), conn: conn, ran: make(chan struct{})}
	if err := cfg.Session.Attach(conn); err != nil {
		t.Fatal(err)
	}
	var ended <-chan error
	if cfg.Start {
		ended = s.Start(conn)
	}
	go func() {
		defer close(s.ran)
		if cfg.Start {
			s.End(<-ended)
			return
		}
		s.End(s.Run(conn))
	}()
	t.Cleanup(func() {
		s.End(errors.New("the test is over"))
		conn.Abort()
		<-s.ran
		s.Wait()
	})
	return s
}

// join gives two peers with a pipe between them.
func join(t *testing.T, a, b config) (*side, *side) {
	t.Helper()
	x, y := transport.Pipe(nil)
	a.IDPrefix, b.IDPrefix = "a-", "b-"
	return newSide(t, x, a, session.Options{}), newSide(t, y, b, session.Options{})
}

// frame is a message as far as all have it.
type frame struct {
	Type    string
	Payload json.RawMessage
}

func parseFrame(data []byte) (f frame, err error) {
	err = json.Unmarshal(data, &f)
	return f, err
}

func frameText(typ string, payload []byte) []byte { return wire.AppendEvent(nil, typ, payload) }

func parsedError(payload []byte) *call.Error {
	e := new(call.Error)
	_ = e.UnmarshalJSON(payload) // never fails
	return e
}

// farEnd is the other end of a peer, in the hands of a test.
type farEnd struct {
	t      *testing.T
	conn   transport.Conn
	frames chan frame
}

func wired(t *testing.T, cfg config) (*side, *farEnd) {
	t.Helper()
	x, y := transport.Pipe(nil)
	w := &farEnd{t, y, make(chan frame, 10_000)}
	go func() {
		defer close(w.frames)
		for {
			data, err := y.Read()
			if err != nil {
				return
			}
			f, err := parseFrame(append([]byte(nil), data...))
			if err != nil {
				t.Errorf("the peer sent what is no frame: %v", err)
				return
			}
			w.frames <- f
		}
	}()
	t.Cleanup(y.Abort)
	return newSide(t, x, cfg, session.Options{}), w
}

// send writes frames, each "type payload".
func (w *farEnd) send(frames ...string) {
	w.t.Helper()
	var out [][]byte
	for _, f := range frames {
		typ, payload, _ := strings.Cut(f, " ")
		out = append(out, frameText(typ, []byte(payload)))
	}
	if err := w.conn.Write(out); err != nil {
		w.t.Errorf("write: %v", err)
	}
	synctest.Wait()
}

// want reads the next frame; payload is a part of what is expected in it.
func (w *farEnd) want(typ, payload string) frame {
	w.t.Helper()
	f, ok := <-w.frames
	if !ok || f.Type != typ || !strings.Contains(string(f.Payload), payload) {
		w.t.Errorf("got %s %s, want %s %s", f.Type, f.Payload, typ, payload)
	}
	return f
}

func (w *farEnd) wantNothing() {
	w.t.Helper()
	synctest.Wait()
	select {
	case f := <-w.frames:
		w.t.Errorf("got %s %s, want nothing", f.Type, f.Payload)
	default:
	}
}

// id is the requestId of a frame.
func id(t *testing.T, f frame) string {
	t.Helper()
	var p struct{ RequestID string }
	if err := json.Unmarshal(f.Payload, &p); err != nil {
		t.Fatal(err)
	}
	return p.RequestID
}

func wantError(t *testing.T, err error, code call.Code, sent bool) *call.Error {
	t.Helper()
	e, ok := errors.AsType[*call.Error](err)
	if !ok || e.Code != code || e.Sent != sent {
		t.Errorf("got %#v, want %s with sent %v", err, code, sent)
		return &call.Error{}
	}
	return e
}

func data(t *testing.T, output []byte) string {
	t.Helper()
	text, _ := wire.ParseEnvelope(output)
	return string(text)
}

func unary(op, input string) *call.Request {
	return &call.Request{Operation: op, Input: json.RawMessage(input)}
}

func stream(op, input string) *call.Request {
	r := unary(op, input)
	r.Stream = true
	return r
}

// echo answers with its input.
func echo(_ context.Context, req *call.Request, send func(call.Envelope) error) error {
	return send(call.Envelope{Data: req.Input})
}

// until answers nothing before its context ends.
func until(ctx context.Context, _ *call.Request, _ func(call.Envelope) error) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func after(d time.Duration) { <-time.After(d) }

func sessionOf(limitBytes int) session.Options { return session.Options{LimitBytes: limitBytes} }

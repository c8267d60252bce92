package session

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/transport"
)

var errWrite = errors.New("the write failed")

// notifyFunc is an Appended.
type notifyFunc func()

func (f notifyFunc) Appended() { f() }

// owner is an Owner; slow may be nil.
type owner struct{ slow func() }

func (o *owner) Slow() {
	if o.slow != nil {
		o.slow()
	}
}

func (o *owner) Log() *zerolog.Logger {
	log := zerolog.Nop()
	return &log
}

// fakeConn keeps what is written. While a Write is held up it watches that the
// frames are not changed.
type fakeConn struct {
	mu      sync.Mutex
	frames  []string
	writes  int
	spoiled bool
	aborted bool
	fail    error
	held    chan struct{} // Write waits until it is closed; nil: does not wait
	yields  bool          // Write lets others run
}

var _ transport.Conn = (*fakeConn)(nil)

func (c *fakeConn) Write(frames [][]byte) error {
	c.mu.Lock()
	held, yields := c.held, c.yields
	c.writes++
	before := text(frames)
	c.mu.Unlock()
	if held != nil {
		<-held
	}
	if yields {
		for range 3 {
			<-time.After(time.Microsecond)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if strings.Join(before, "\n") != strings.Join(text(frames), "\n") {
		c.spoiled = true
	}
	if c.fail != nil {
		return c.fail
	}
	c.frames = append(c.frames, before...)
	return nil
}

func text(frames [][]byte) []string {
	out := make([]string, len(frames))
	for i, f := range frames {
		out[i] = textOf(f)
	}
	return out
}

func (c *fakeConn) Read() ([]byte, error)             { return nil, transport.ErrLost }
func (c *fakeConn) TryRead() ([]byte, bool, error)    { return nil, false, transport.ErrLost }
func (c *fakeConn) TryWrite([][]byte) bool            { return false }
func (c *fakeConn) Ping() error                       { return nil }
func (c *fakeConn) Close(transport.CloseCode, string) {}
func (c *fakeConn) LastReceived() time.Time           { return time.Time{} }
func (c *fakeConn) WholeMessages() bool               { return false }
func (c *fakeConn) RemoteAddr() string                { return "fake" }
func (c *fakeConn) SetMeter(transport.Meter)          {}

func (c *fakeConn) Abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.aborted = true
}

// hold makes every Write wait from now on; release ends that.
func (c *fakeConn) hold() (release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	held := make(chan struct{})
	c.held = held
	return sync.OnceFunc(func() {
		c.mu.Lock()
		if c.held == held {
			c.held = nil
		}
		c.mu.Unlock()
		close(held)
	})
}

func (c *fakeConn) failWith(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = err
}

func (c *fakeConn) written() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.frames...)
}

func (c *fakeConn) want(t *testing.T, frames ...string) {
	t.Helper()
	if got := c.written(); strings.Join(got, "|") != strings.Join(frames, "|") {
		t.Errorf("written %q, want %q", got, frames)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spoiled {
		t.Error("a frame was changed while it was being written")
	}
}

// "<id> answer …" and "<id> end …" are frames that answer the request with the id, the second one terminal for streams too.
func frame(s string) *Buffer {
	b := NewBuffer(0)
	id, rest, _ := strings.Cut(s, " ")
	switch {
	case strings.HasPrefix(rest, "answer"):
		b.B = wire.AppendResponded(b.B, id, strconv.AppendQuote(nil, rest))
	case strings.HasPrefix(rest, "end"):
		b.B = wire.AppendCompleted(b.B, id)
	default:
		b.B = append(b.B, s...)
	}
	return b
}

// textOf is the text of which frame makes the frame.
func textOf(f []byte) string {
	var m wire.Message
	if wire.Parse(f, &m) != nil {
		return string(f)
	}
	switch m.Type {
	case wire.Skip:
		return "skip"
	case wire.Gap:
		return fmt.Sprintf("gap %s %d", m.Topic, m.Dropped)
	case wire.Responded:
		text, err := strconv.Unquote(string(m.Output))
		if err != nil {
			panic(err)
		}
		return string(m.ID) + " " + text
	case wire.Failed:
		return string(m.ID) + " end aborted"
	case wire.Completed:
		return string(m.ID) + " end"
	}
	return string(f)
}

func quoted(id string) []byte { return wire.QuotedID(id) }

// attached returns a session on a fake connection, inside a bubble.
func attached(t *testing.T, o Options) (*Session, *fakeConn) {
	t.Helper()
	if o.Totals == nil {
		o.Totals = &Totals{MaxDetached: math.MaxInt64}
		t.Cleanup(func() {
			if queued, detached := o.Totals.QueuedBytes.Load(), o.Totals.DetachedBytes.Load(); queued != 0 || detached != 0 {
				t.Errorf("%d bytes are counted after the end, %d of them as detached", queued, detached)
			}
		})
	}
	s, c := New(o), &fakeConn{}
	if err := s.Attach(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.End(nil); s.Wait() })
	return s, c
}

// stuck returns a session whose connection is held up in the writing of one frame.
func stuck(t *testing.T, o Options) (*Session, *fakeConn, func()) {
	t.Helper()
	s, c := attached(t, o)
	release := c.hold()
	mustSend(t, s, "first")
	synctest.Wait()
	t.Cleanup(release)
	return s, c, release
}

// appendEvent appends an event and has it written.
func appendEvent(s *Session, topic string, b *Buffer) {
	if s.AppendEvent(topic, b) {
		s.FlushReady()
	}
}

func mustSend(t *testing.T, s *Session, text string) Position {
	t.Helper()
	p, err := s.Append(t.Context(), Response, frame(text), 0, nil)
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	return p
}

package hub_test

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/transport"
)

func itoa(n int) string { return strconv.Itoa(n) }

// traceRun is one run of a trace.
type traceRun struct {
	t     *testing.T
	hub   *traceHub
	far   *traceHub // joined to hub in memory; nil unless the trace asks for it
	conns map[string]*traceConn
	names *traceNames
	wg    sync.WaitGroup
	size  int64
}

// traceConn is a raw spoke.
type traceConn struct {
	t     *testing.T
	inner transport.Conn
	wg    sync.WaitGroup

	mu    sync.Mutex    // guards the fields below
	lines []string      // read, not yet told
	gate  chan struct{} // closed when it reads again; nil while it does
}

func newTraceRun(t *testing.T, text string) *traceRun {
	o := &hub.Options{AllowAnonymous: true, ID: "hub"}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == "option" {
			setTraceOption(t, o, f[1], f[2:])
		}
	}
	r := &traceRun{t: t, conns: map[string]*traceConn{}, names: newTraceNames(), size: o.MaxMessageBytes}
	r.hub = newTraceHub(t, *o, "hub")
	if o.Backplane != nil {
		r.far = newTraceHub(t, *o, "far")
	}
	return r
}

func newTraceHub(t *testing.T, o hub.Options, name string) *traceHub {
	o.ID = name
	h, err := hub.New(&o)
	if err != nil {
		t.Fatal(err)
	}
	return &traceHub{Hub: h, name: name}
}

// hubs yields the hubs of the run.
func (r *traceRun) hubs() []*traceHub {
	if r.far == nil {
		return []*traceHub{r.hub}
	}
	return []*traceHub{r.hub, r.far}
}

// hubOf returns the hub to which the connection of this name goes.
func (r *traceRun) hubOf(conn string) *traceHub {
	if r.far != nil && strings.HasPrefix(conn, "far") {
		return r.far
	}
	return r.hub
}

func setTraceOption(t *testing.T, o *hub.Options, name string, args []string) {
	n, _ := strconv.Atoi(args[0])
	switch name {
	case "maxInFlight":
		o.MaxInFlight = n
	case "maxMessageBytes":
		o.MaxMessageBytes = int64(n)
	case "maxOperations":
		o.MaxOperations = n
	case "maxTopics":
		o.MaxTopics = n
	case "eventBytes":
		o.EventBytes = n
	case "logBytes":
		o.LogBytes = n
	case "maxIdentityConnections":
		o.MaxIdentityConnections = n
	case "framesPerSecond":
		o.FramesPerSecond = n
	case "bytesPerSecond":
		o.BytesPerSecond = int64(n)
	case "maxRegistrationBytes":
		o.MaxRegistrationBytes = n
	case "maxDepth":
		o.MaxDepth = n
	case "maxSpokeInFlight":
		o.MaxSpokeInFlight = n
	case "scopes": // as the scopes of the identities say
		o.Authorize = hub.AuthorizeScopes()
	case "maxWaitingBytes":
		o.MaxWaitingBytes = int64(n)
	case "maxWaiting":
		o.MaxWaiting = n
	case "sessionWindow": // ms
		o.SessionWindow = time.Duration(n) * time.Millisecond
	case "closeSlowReaders":
		o.CloseSlowReaders = true
	case "hubs": // a second one, joined to the first in memory
		o.Backplane = hub.NewMemoryBackplane()
	case "deny": // deny VERB NAME, for everyone; * is every name
		verb, denied := hub.Verb(args[0]), args[1]
		o.Authorize = func(a hub.Action) error {
			if a.Verb == verb && (denied == "*" || a.Name == denied) {
				return errors.New("not for " + a.Identity.ID)
			}
			return nil
		}
	default:
		t.Fatalf("option %s?", name)
	}
}

func (r *traceRun) connect(name, identity string) {
	if identity == "" {
		identity = call.Anonymous
	}
	a, b := transport.Pipe(&transport.PipeOptions{MaxMessageBytes: r.size, BufferBytes: 4 << 10})
	c := &traceConn{t: r.t, inner: a}
	r.conns[name] = c
	// "as ID scope scope" gives it other scopes than the one of its own.
	identity, more, given := strings.Cut(identity, " ")
	scopes := []string{"scope-of-" + identity}
	if given {
		scopes = strings.Fields(more)
	}
	h := r.hubOf(name)
	r.wg.Go(func() { h.Accept(b, &call.Identity{ID: identity, Scopes: scopes}) })
	r.wg.Go(c.read)
}

func (r *traceRun) conn(name string) *traceConn {
	c := r.conns[name]
	if c == nil {
		r.t.Fatalf("%s is not connected", name)
	}
	return c
}

func (c *traceConn) read() {
	for {
		c.mu.Lock()
		gate := c.gate
		c.mu.Unlock()
		if gate != nil {
			<-gate
		}
		data, err := c.inner.Read()
		line := string(data)
		if err != nil {
			line = "end: " + err.Error()
			if ce, ok := errors.AsType[*transport.CloseError](err); ok {
				line = "close " + itoa(int(ce.Code)) + " " + ce.Reason
			} else if errors.Is(err, transport.ErrLost) {
				line = "lost"
			}
		}
		c.mu.Lock()
		c.lines = append(c.lines, strings.TrimRight(line, " "))
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (c *traceConn) send(text string) {
	c.wg.Go(func() { _ = c.inner.Write([][]byte{[]byte(text)}) }) // what becomes of it shows in what is read
}

func (c *traceConn) close(code string) {
	n, err := strconv.Atoi(code)
	if err != nil {
		c.t.Fatal(err)
	}
	c.inner.Close(transport.CloseCode(n), "bye")
}

func (c *traceConn) ping() { _ = c.inner.Ping() }

// pause makes the reader stop after the message that it is waiting for.
func (c *traceConn) pause(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if on {
		c.gate = make(chan struct{})
	} else if c.gate != nil {
		close(c.gate)
		c.gate = nil
	}
}

var outputLine = regexp.MustCompile(`^[a-z]+< `)

func (r *traceRun) isOutput(line string) bool { return outputLine.MatchString(line) }

// said gives what everyone was told since the last time.
func (r *traceRun) said() (out []string) {
	for _, name := range slices.Sorted(maps.Keys(r.conns)) {
		c := r.conns[name]
		c.mu.Lock()
		for _, l := range c.lines {
			out = append(out, name+"< "+r.names.shorten(l))
		}
		c.lines = nil
		c.mu.Unlock()
	}
	for _, h := range r.hubs() {
		for _, l := range slices.Sorted(slices.Values(h.take())) { // events at the same virtual time have no order
			out = append(out, h.name+"< "+r.names.shorten(l))
		}
	}
	return out
}

// end drops all connections and joins everything; what is left fails the bubble.
func (r *traceRun) end() {
	for _, c := range r.conns {
		c.inner.Abort()
		c.pause(false)
		c.wg.Wait()
	}
	for _, h := range r.hubs() {
		h.Close()
	}
	r.wg.Wait()
	for _, h := range r.hubs() {
		h.wg.Wait()
	}
	<-time.After(time.Minute)
	for _, h := range r.hubs() {
		if s := h.Stats(); s.Connections != 0 || s.Spokes != 0 || s.InFlight != 0 || s.Topics != 0 {
			r.t.Errorf("left at %s: %+v", h.name, s)
		}
	}
}

package spoke_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// middle is a proxy between spokes and hubs: it passes messages on, can close both sides as proxies do, and can
// swallow what hubs send.
type middle struct {
	t  *testing.T
	wg sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	routes  map[string]*hub.Hub
	dialed  []string
	toSpoke transport.Conn // the ends of the last connection that the proxy holds
	toHub   transport.Conn
	swallow int // so many connections to come are cut when a hub has sent something, which is lost
	refuse  map[string]error
	closed  []transport.CloseCode // with which spokes have closed
	largest int                   // a larger message of a spoke does not pass, nor anything behind it; 0: no bound
}

func newMiddle(t *testing.T) *middle {
	m := &middle{t: t, routes: map[string]*hub.Hub{}, refuse: map[string]error{}}
	t.Cleanup(func() {
		m.cut()
		m.wg.Wait()
	})
	return m
}

// hub starts a hub behind the proxy under a URL.
func (m *middle) hub(url string, o hub.Options) *hub.Hub {
	o.AllowAnonymous = true
	h, err := hub.New(&o)
	if err != nil {
		m.t.Fatal(err)
	}
	m.route(url, h)
	m.t.Cleanup(h.Close)
	return h
}

func (m *middle) route(url string, h *hub.Hub) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.routes[url] = h
}

// fail makes dials of a URL fail; nil lets them pass.
func (m *middle) fail(url string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refuse[url] = err
}

func (m *middle) swallowNext(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.swallow = n
}

// closes returns the codes with which spokes have closed.
func (m *middle) closes() []transport.CloseCode {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.closed)
}

func (m *middle) dials() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.dialed...)
}

func (m *middle) Dial(_ context.Context, url string, _ http.Header) (transport.Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dialed = append(m.dialed, url)
	h := m.routes[url]
	if err := m.refuse[url]; err != nil {
		return nil, err
	}
	if h == nil {
		return nil, errors.New("no route")
	}
	near, spokeSide := transport.Pipe(nil)
	hubSide, far := transport.Pipe(nil)
	m.toSpoke, m.toHub = spokeSide, hubSide
	swallow := m.swallow > 0
	m.swallow = max(0, m.swallow-1)
	m.wg.Go(func() { h.Accept(far, &call.Identity{ID: call.Anonymous}) })
	m.wg.Go(func() { m.pump(spokeSide, hubSide, false) })
	m.wg.Go(func() { m.pump(hubSide, spokeSide, swallow) })
	return near, nil
}

// pump passes messages and the close on.
func (m *middle) pump(from, to transport.Conn, swallow bool) {
	blocked := false
	for {
		data, err := from.Read()
		if ce, ok := errors.AsType[*transport.CloseError](err); ok {
			m.mu.Lock()
			if from == m.toSpoke && ce.Remote {
				m.closed = append(m.closed, ce.Code)
			}
			m.mu.Unlock()
			to.Close(ce.Code, ce.Reason)
			return
		}
		if err != nil || swallow {
			from.Abort()
			to.Abort()
			return
		}
		m.mu.Lock()
		blocked = blocked || m.largest > 0 && len(data) > m.largest
		m.mu.Unlock()
		if blocked {
			continue
		}
		_ = to.Write([][]byte{data}) // the reader of the other side sees its end
	}
}

// close closes both sides of the last connection, as a proxy that restarts; 0 cuts them.
func (m *middle) close(code transport.CloseCode) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range []transport.Conn{m.toSpoke, m.toHub} {
		switch {
		case c == nil:
		case code == 0:
			c.Abort()
		default:
			c.Close(code, "the proxy restarts")
		}
	}
}

func (m *middle) cut() { m.close(0) }

// spoke runs a spoke through the proxy until the test ends. The result of Run is on the channel.
func (m *middle) spoke(id string, o spoke.Options, operations func(*call.Registry)) (*spoke.Spoke, chan error) {
	o.ID, o.Dialer = id, m
	s, err := spoke.New("ws://own.test/", &o)
	if err != nil {
		m.t.Fatal(err)
	}
	if operations != nil {
		operations(s.Operations())
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	ran := make(chan struct{})
	go func() { defer close(ran); done <- s.Run(ctx) }()
	m.t.Cleanup(func() { cancel(); <-ran })
	if err := s.Ready(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
	return s, done
}

// eventReason hands on the reasons of presence.
func eventReason(to chan string) func(pubsub.Event) {
	return func(ev pubsub.Event) {
		var p hub.Presence
		if err := json.Unmarshal(ev.Payload, &p); err == nil {
			to <- p.Reason
		}
	}
}

package hubtest

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/transport"
)

// Direction is where on a wire messages go.
type Direction int

// The directions.
const (
	ToHub Direction = iota
	ToSpoke
)

// Wire dials the hub of a [Network] in memory: it is the [transport.Dialer] for one
// spoke, with the faults of a network to order. They hold for all its connections,
// also those to come. All methods may be called concurrently.
type Wire struct {
	net      *Network
	identity *call.Identity
	gates    [2]gate // by Direction

	mu      sync.Mutex // guards the fields below
	refuse  error
	dials   int
	header  http.Header
	url     string
	live    map[*link]struct{}
	refused bool // for good: the test is over
}

// link is one connection, with both its ends.
type link struct{ spoke, hub *conn }

var _ transport.Dialer = (*Wire)(nil)

// Dialer gives a new wire to the hub for a spoke that the hub takes for the
// identity; nil is [call.Anonymous]. It goes into [spoke.Options] as Dialer.
func (n *Network) Dialer(identity *call.Identity) *Wire {
	if identity == nil {
		identity = &call.Identity{ID: call.Anonymous}
	}
	w := &Wire{net: n, identity: identity, live: make(map[*link]struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wires = append(n.wires, w)
	return w
}

// Dial implements [transport.Dialer]: it joins [hub.Hub.Accept] by a
// [transport.Pipe]. The hub authenticates nobody: the identity is the wire's.
func (w *Wire) Dial(ctx context.Context, url string, header http.Header) (transport.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dials++
	w.url, w.header = url, header.Clone()
	if w.refuse != nil {
		return nil, w.refuse
	}
	a, b := transport.Pipe(&transport.PipeOptions{MaxMessageBytes: w.net.maxMessage})
	up, down := new(times), new(times)
	l := &link{
		spoke: newConn(a, &w.gates[ToSpoke], &w.gates[ToHub], down, up),
		hub:   newConn(b, &w.gates[ToHub], &w.gates[ToSpoke], up, down),
	}
	w.live[l] = struct{}{}
	w.net.accepting.Go(func() { w.net.Hub.Accept(l.hub, w.identity) })
	w.net.accepting.Go(func() { // ends when both ends have been given up
		<-l.spoke.gone
		<-l.hub.gone
		w.mu.Lock()
		delete(w.live, l)
		w.mu.Unlock()
	})
	return l.spoke, nil
}

// wire finds the Wire also in a Dialer that embeds it.
func (w *Wire) wire() *Wire { return w }

// Cut drops the connections now, without a close frame. What was on its way is
// lost. Dials go on to succeed.
func (w *Wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for l := range w.live {
		l.spoke.Abort()
		l.hub.Abort()
	}
}

// Stall lets nothing pass in the direction until Resume: no message, no close, no
// sign of life. Nothing is lost.
func (w *Wire) Stall(d Direction) {
	g := &w.gates[d]
	g.set(func() { g.shut = true })
}

// Resume ends all stalls.
func (w *Wire) Resume() {
	for i := range w.gates {
		g := &w.gates[i]
		g.set(func() { g.shut = false })
	}
}

// Delay makes everything take that long in each direction. It holds up nothing
// behind it: a wire has latency, not a speed.
func (w *Wire) Delay(d time.Duration) {
	for i := range w.gates {
		g := &w.gates[i]
		g.set(func() { g.delay = d })
	}
}

// Refuse makes dials fail with the error until it is nil; a
// [transport.HandshakeError] is a hub that answers with a status.
func (w *Wire) Refuse(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.refused {
		w.refuse = err
	}
}

// Dials is how often the wire was dialled, refused dials included.
func (w *Wire) Dials() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dials
}

// Last gives the URL and the header of the last dial.
func (w *Wire) Last() (url string, header http.Header) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.url, w.header
}

// end refuses every dial from now on and drops what is there.
func (w *Wire) end() {
	w.Refuse(context.Canceled)
	w.mu.Lock()
	w.refused = true
	w.mu.Unlock()
	w.Resume()
	w.Cut()
}

package hub

import (
	"math"
	"time"

	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/transport"
)

// guard holds a spoke's connection to the rates of the options.
func (h *Hub) guard(t transport.Conn) transport.Conn {
	if h.opts.FramesPerSecond < 0 && h.opts.BytesPerSecond < 0 {
		return t
	}
	g := &guarded{Conn: t, hub: h}
	now := time.Since(h.startedAt)
	g.frames = bucket{left: h.frameRate().burst, filled: now}
	g.bytes = bucket{left: h.byteRate().burst, filled: now}
	if m, ok := t.(transport.Metered); ok { // control frames and fragments count too
		m.Meter(g.meter)
		return t
	}
	return g
}

// messageSlack is how much a message may be over MaxMessageBytes (protocol section 2).
const messageSlack = 64 << 10

// guarded is a connection that is closed with 4003 when it sends too much.
type guarded struct {
	transport.Conn
	hub           *Hub
	frames, bytes bucket // the reader's
	over          bool   // the limit has been exceeded; the reader's
}

var (
	_ transport.Pinger    = (*guarded)(nil)
	_ transport.TryWriter = (*guarded)(nil)
	_ transport.Waiter    = (*guarded)(nil)
)

// Read implements [transport.Conn].
func (g *guarded) Read() ([]byte, error) {
	data, err := g.Conn.Read()
	if err != nil || g.within(1, len(data)) {
		return data, err
	}
	g.limit()
	for {
		if _, err := g.Conn.Read(); err != nil {
			return nil, err
		}
	}
}

// meter takes what has arrived on the wire, until it is too much.
func (g *guarded) meter(frames, bytes int) {
	if !g.over && !g.within(frames, bytes) {
		g.over = true
		g.limit()
	}
}

// limit closes the connection.
func (g *guarded) limit() {
	g.hub.rateLimited.Add(1)
	g.hub.log.Warn().Str("remote", g.RemoteAddr()).Msg("rate limit exceeded; connection closed")
	g.Close(transport.CloseRateLimit, "rate limit exceeded")
}

// within reports whether that many frames and bytes may come now.
func (g *guarded) within(frames, n int) bool {
	frame, bytes := g.frames.take(float64(frames)), g.bytes.take(float64(n))
	if frame && bytes {
		return true
	}
	now := time.Since(g.hub.startedAt)
	return (frame || g.frames.refill(g.hub.frameRate(), now)) && (bytes || g.bytes.refill(g.hub.byteRate(), now))
}

// TryWrite implements [transport.TryWriter]; it is false where the connection cannot.
func (g *guarded) TryWrite(frames [][]byte) bool {
	t, ok := g.Conn.(transport.TryWriter)
	return ok && t.TryWrite(frames)
}

// BeforeWait implements [transport.Waiter]; it is false where the connection cannot.
func (g *guarded) BeforeWait(fn func()) bool {
	w, ok := g.Conn.(transport.Waiter)
	return ok && w.BeforeWait(fn)
}

// Ping implements [transport.Pinger]; it does nothing where the connection cannot.
func (g *guarded) Ping() error {
	if p, ok := g.Conn.(transport.Pinger); ok {
		return p.Ping()
	}
	return nil
}

// rate is how much may come.
type rate struct {
	second float64 // tokens in a second
	burst  float64 // tokens at once
}

func (h *Hub) frameRate() rate {
	return h.newRate(float64(h.opts.FramesPerSecond), 1)
}

func (h *Hub) byteRate() rate {
	return h.newRate(float64(h.opts.BytesPerSecond), float64(h.opts.MaxMessageBytes+messageSlack))
}

// newRate gives no bound for a negative number of tokens, and at least so many at once.
func (h *Hub) newRate(second, least float64) rate {
	if second < 0 {
		return rate{burst: math.Inf(1)}
	}
	return rate{second, max(second*h.opts.RateBurst.Seconds(), least)}
}

// bucket is a token bucket. It looks at the clock only when it is empty, so that
// it costs nothing where it is far away; after silence it therefore gives up to twice its size.
type bucket struct {
	left   float64
	filled time.Duration // when, since the hub was started
}

// take reports whether there were n tokens. If not, refill says whether there are by now.
func (b *bucket) take(n float64) bool {
	b.left -= n
	return b.left >= 0
}

func (b *bucket) refill(r rate, now time.Duration) bool {
	b.left = min(b.left+r.second*(now-b.filled).Seconds(), r.burst)
	b.filled = now
	return b.left >= 0
}

// registrationLimits bound a registration.
func (h *Hub) registrationLimits() peer.Limits {
	// Schemas go into lists, which the others could not read if they were nested deeper than most take.
	depth := min(h.opts.MaxDepth, wire.DefaultMaxDepth)
	return peer.Limits{Bytes: h.opts.MaxRegistrationBytes, Depth: depth, Sets: &h.operationSets}
}

// inFlightLimit is how many requests the spoke is sent at once.
func (h *Hub) inFlightLimit(reg *peer.Registration) int {
	if reg.MaxInFlight > 0 {
		return min(reg.MaxInFlight, h.opts.MaxSpokeInFlight)
	}
	return min(peer.DefaultMaxInFlight, h.opts.MaxSpokeInFlight)
}

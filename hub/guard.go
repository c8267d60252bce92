package hub

import (
	"math"
	"time"

	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/registration"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/transport"
)

// guard holds a spoke's connection to the rates of the options.
func (h *Hub) guard(t transport.Conn) {
	if h.opts.FramesPerSecond < 0 && h.opts.BytesPerSecond < 0 {
		return
	}
	now := time.Since(h.startedAt)
	t.SetMeter(&rateMeter{hub: h, remote: t.RemoteAddr(),
		frames: bucket{left: h.frameRate().burst, filled: now}, bytes: bucket{left: h.byteRate().burst, filled: now}})
}

// messageSlack is how much a message may be over MaxMessageBytes (protocol section 2).
const messageSlack = 64 << 10

// rateMeter closes a connection with 4003 when it has sent too much.
type rateMeter struct {
	hub           *Hub
	remote        string
	frames, bytes bucket // the reader's
}

// Received implements [transport.Meter].
func (m *rateMeter) Received(frames, bytes int) bool {
	if m.within(frames, bytes) {
		return true
	}
	m.hub.rateLimited.Add(1)
	m.hub.log.Warn().Str("remote", m.remote).Msg("rate limit exceeded; connection closed")
	return false
}

// within reports whether that many frames and bytes may come now.
func (m *rateMeter) within(frames, n int) bool {
	frame, bytes := m.frames.take(float64(frames)), m.bytes.take(float64(n))
	return (frame || m.frames.refill(m.hub.frameRate(), m.hub.startedAt)) && (bytes || m.bytes.refill(m.hub.byteRate(), m.hub.startedAt))
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

func (b *bucket) refill(r rate, started time.Time) bool {
	now := time.Since(started)
	b.left = min(b.left+r.second*(now-b.filled).Seconds(), r.burst)
	b.filled = now
	return b.left >= 0
}

// registrationLimits bound a registration.
func (h *Hub) registrationLimits() registration.Limits {
	// Schemas go into lists, which the others could not read if they were nested deeper than most take.
	depth := min(h.opts.MaxDepth, wire.DefaultMaxDepth)
	return registration.Limits{Bytes: h.opts.MaxRegistrationBytes, Depth: depth, Sets: &h.operationSets}
}

// inFlightLimit is how many requests the spoke is sent at once.
func (h *Hub) inFlightLimit(reg *registration.Registration) int {
	if reg.MaxInFlight > 0 {
		return min(reg.MaxInFlight, h.opts.MaxSpokeInFlight)
	}
	return min(peer.DefaultMaxInFlight, h.opts.MaxSpokeInFlight)
}

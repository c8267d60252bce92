package hub

import (
	"sync"
	"time"

	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/transport"
)

// guard holds a spoke's connection to the rates of the options.
func (h *Hub) guard(t transport.Conn) transport.Conn {
	if h.opts.FramesPerSecond < 0 && h.opts.BytesPerSecond < 0 {
		return t
	}
	burst := h.opts.RateBurst.Seconds()
	return &guarded{
		Conn:   t,
		hub:    h,
		frames: newBucket(float64(h.opts.FramesPerSecond), burst, 1),
		bytes:  newBucket(float64(h.opts.BytesPerSecond), burst, float64(h.opts.MaxMessageBytes+messageSlack)),
	}
}

// messageSlack is how much a message may be over MaxMessageBytes (protocol section 2).
const messageSlack = 64 << 10

// guarded is a connection that is closed with 4003 when it sends too much.
type guarded struct {
	transport.Conn
	hub           *Hub
	frames, bytes bucket // the reader's
}

var _ transport.Pinger = (*guarded)(nil)

// Read implements [transport.Conn].
func (g *guarded) Read() ([]byte, error) {
	data, err := g.Conn.Read()
	if err != nil || g.frames.take(1) && g.bytes.take(float64(len(data))) {
		return data, err
	}
	g.hub.rateLimited.Add(1)
	g.hub.log.Warn().Str("remote", g.RemoteAddr()).Msg("a connection sends too much; closed")
	g.Close(transport.CloseRateLimit, "too much in too short a time")
	for {
		if _, err := g.Conn.Read(); err != nil {
			return nil, err
		}
	}
}

// Ping implements [transport.Pinger]; it does nothing where the connection cannot.
func (g *guarded) Ping() error {
	if p, ok := g.Conn.(transport.Pinger); ok {
		return p.Ping()
	}
	return nil
}

// bucket is a token bucket. It looks at the clock only when it is empty, so that
// it costs nothing where it is far away; after silence it therefore gives up to twice its size.
type bucket struct {
	rate float64 // tokens per second; negative is no bound
	size float64
	left float64
	last time.Time // when it was filled
}

func newBucket(rate, burst, least float64) bucket {
	size := max(rate*burst, least)
	return bucket{rate: rate, size: size, left: size, last: time.Now()}
}

// take reports whether there were n tokens.
func (b *bucket) take(n float64) bool {
	if b.rate < 0 {
		return true
	}
	b.left -= n
	if b.left >= 0 {
		return true
	}
	now := time.Now()
	b.left = min(b.left+b.rate*now.Sub(b.last).Seconds(), b.size)
	b.last = now
	return b.left >= 0
}

// seats counts the connections of each identity.
type seats struct {
	mu    sync.Mutex
	taken map[string]int // guarded by mu; no zeros
}

// take gives the identity one more connection, unless it has as many as may be;
// a negative limit is none.
func (s *seats) take(identity string, limit int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if limit >= 0 && s.taken[identity] >= limit {
		return false
	}
	if s.taken == nil {
		s.taken = make(map[string]int)
	}
	s.taken[identity]++
	return true
}

func (s *seats) leave(identity string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.taken[identity] {
	case 0: // it had none
	case 1:
		delete(s.taken, identity)
	default:
		s.taken[identity]--
	}
}

// registrationLimits bound a registration.
func (h *Hub) registrationLimits() peer.Limits {
	return peer.Limits{Bytes: h.opts.MaxRegistrationBytes, Depth: h.opts.MaxDepth}
}

// inFlightLimit is how many requests the spoke is sent at once.
func (h *Hub) inFlightLimit(reg *peer.Registration) int {
	if reg.MaxInFlight > 0 {
		return min(reg.MaxInFlight, h.opts.MaxSpokeInFlight)
	}
	return min(peer.DefaultMaxInFlight, h.opts.MaxSpokeInFlight)
}

package spoke

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/transport"
)

// Options configure a Spoke. They are copied by [New]. What is zero has its default.
type Options struct {
	// ID is the spoke's id; empty lets the hub choose one for each connection.
	ID string
	// Name and Version are for people who look at the hub.
	Name    string
	Version string
	// Labels are what call.Select looks at.
	Labels map[string]string
	// Token gives the bearer token; it is called at each dial, so that it can
	// fetch a new one, and its context ends with the dial's time. Nil sends none. An error counts
	// as a failed dial.
	Token func(ctx context.Context) (string, error)

	// URLs are further hubs, tried in turn with the first.
	URLs []string
	// HTTPClient dials; nil is a default one. TLS is configured there.
	HTTPClient *http.Client
	// Header is sent along with the handshake.
	Header http.Header
	// Dialer replaces the WebSocket dialer, HTTPClient with it.
	Dialer transport.Dialer

	// MaxInFlight is how many requests are served at once; 0 is 64.
	MaxInFlight int
	// MaxMessageBytes is the largest message taken from the hub; 0 is 1 MiB.
	MaxMessageBytes int64
	// LogBytes bounds what waits for the hub to read it; 0 is 4 MiB or twice
	// MaxMessageBytes, whichever is more.
	LogBytes int

	// NoSession asks the hub for none: every lost connection then ends the calls in
	// flight and the subscriptions' flow.
	NoSession bool

	// HandshakeTimeout is the time from dialling until registered; 0 is 10 s.
	HandshakeTimeout time.Duration
	// HeartbeatTimeout is how long after the hub's heartbeat interval a silent
	// connection is dropped; 0 is 10 s.
	HeartbeatTimeout time.Duration
	// BackoffMin is the upper end of the first delay; 0 is 200 ms. It doubles up
	// to BackoffMax, 0 is 20 s. Each delay is chosen between 0 and that.
	BackoffMin time.Duration
	BackoffMax time.Duration
	// RetryAfterMax is the longest Retry-After that the spoke follows; 0 is 2 min. A hub that answers with one is left
	// alone for that time, while the others (URLs) are dialed.
	RetryAfterMax time.Duration
	// BackoffReset is how long the spoke must have been registered for the delays to
	// begin anew; 0 is 10 s.
	BackoffReset time.Duration

	// StreamGrace is how long streams continue, in both directions, after Shutdown has begun. Then they end with
	// UNAVAILABLE, which wraps [ErrDraining], so that one without end does not hold up Shutdown; the cause of a handler's context
	// wraps it too. Streams that are part of a unary call end with that call. 0 is 5 s, negative leaves streams alone.
	StreamGrace time.Duration

	// Interceptors go around every call that is made with the spoke, the first
	// outermost. Those around handlers are set on Operations.
	Interceptors []call.Interceptor
	// OnState is called at every change of state, in order. It must not block, nor
	// call Shutdown.
	OnState func(State)
	// Logger gets what an operator should see. Nil logs nothing.
	Logger *zerolog.Logger
}

// DefaultMaxMessageBytes is the largest message that a spoke takes.
const DefaultMaxMessageBytes = 1 << 20

// ErrOptions is what [New] wraps when the options are wrong.
var ErrOptions = errors.New("spoke: options")

// StaticToken gives the same token at each dial.
func StaticToken(secret string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return secret, nil }
}

func (o *Options) withDefaults(first string) (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	c.URLs = append([]string{first}, slices.Clone(c.URLs)...)
	for i, u := range c.URLs {
		err := transport.ValidURL(u)
		switch {
		case err != nil && i == 0:
			return c, fmt.Errorf("%w: %w", ErrOptions, err)
		case err != nil:
			return c, fmt.Errorf("%w: URLs[%d]: %w", ErrOptions, i-1, err)
		}
	}
	if len(c.ID) > peer.MaxSpokeIDBytes {
		return c, fmt.Errorf("%w: the id is longer than %d bytes", ErrOptions, peer.MaxSpokeIDBytes)
	}
	if c.MaxInFlight < 0 || c.MaxMessageBytes < 0 || c.LogBytes < 0 || c.HandshakeTimeout < 0 || c.HeartbeatTimeout < 0 ||
		c.RetryAfterMax < 0 || c.BackoffMin < 0 || c.BackoffMax < 0 || c.BackoffReset < 0 {
		return c, fmt.Errorf("%w: a bound or a time is negative", ErrOptions)
	}
	orDefault(&c.MaxInFlight, peer.DefaultMaxInFlight)
	orDefault(&c.MaxMessageBytes, DefaultMaxMessageBytes)
	orDefault(&c.LogBytes, int(max(4<<20, 2*c.MaxMessageBytes)))
	orDefault(&c.StreamGrace, 5*time.Second)
	orDefault(&c.HandshakeTimeout, 10*time.Second)
	orDefault(&c.HeartbeatTimeout, 10*time.Second)
	orDefault(&c.BackoffMin, 200*time.Millisecond)
	orDefault(&c.BackoffMax, 20*time.Second)
	orDefault(&c.BackoffReset, 10*time.Second)
	orDefault(&c.RetryAfterMax, 2*time.Minute)
	c.BackoffMax = max(c.BackoffMax, c.BackoffMin)
	if c.Logger == nil {
		nop := zerolog.Nop()
		c.Logger = &nop
	}
	if c.Dialer == nil {
		c.Dialer = &transport.WebSocketDialer{Client: c.HTTPClient, Subprotocols: []string{"hubspoke.v1"},
			MaxMessageBytes: c.MaxMessageBytes}
	}
	return c, nil
}

func orDefault[T int | int64 | time.Duration](p *T, d T) {
	if *p == 0 {
		*p = d
	}
}

package hub

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/call"
	weborigin "github.com/alkdev/hubspoke/internal/origin"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/registration"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/pubsub/wstarget"
	"github.com/alkdev/hubspoke/transport"
)

// Options configure a Hub. They are copied by [New]. The zero value of a field selects its default.
type Options struct {
	// Authenticate returns the identity of a client that dials, for example [TokenSet.Authenticate]. It is
	// required unless AllowAnonymous is set.
	Authenticate Authenticator
	// AllowAnonymous lets every client in, all as the one identity
	// [call.Anonymous]. Authenticate must then be nil.
	AllowAnonymous bool
	// Authorize permits or refuses the actions of an identity; nil permits everything to
	// every identity, except what access rules of operations refuse.
	Authorize Authorizer

	// ID names the hub; empty is a random one per process.
	ID string
	// URL is the URL (ws, wss, http or https) under which this hub, and no other, can be dialed. Spokes
	// whose connection was lost dial it to resume their session, so that they find this hub where their
	// own URL leads to several. Empty: they dial their own.
	URL string
	// Origins are patterns (path.Match) of the origins from which browsers may connect besides the hub's own host, on
	// host[:port] or scheme://host[:port]; a missing port is the default of the scheme. "*" alone allows every
	// origin. Another origin is refused: close code 4500, "origin not allowed".
	Origins []string
	// MaxConnections bounds the connections, those that are about to register
	// included; 0 is 65,536, negative no bound. Over it the answer is 503 with Retry-After; [Hub.Accept] closes with 1013.
	MaxConnections int
	// MaxIdentityConnections bounds those of one identity, also if every client is
	// [call.Anonymous]; 0 is 16,384, negative no bound. Over it the answer is 429 with Retry-After; [Hub.Accept] closes
	// with 1013.
	MaxIdentityConnections int
	// FramesPerSecond and BytesPerSecond bound what one connection sends, counted on the wire: WebSocket
	// frames, control frames and fragments included, and every byte of them; 0 is 1,000,000 frames and 1
	// GiB, negative no bound. Over it the connection is closed with 4003 and its session ends. The
	// defaults are above what a spoke that calls and answers can send: they stop what costs its sender
	// nothing.
	FramesPerSecond int
	BytesPerSecond  int64
	// RateBurst is the time whose frames and bytes may arrive at once; after silence they may be up to twice
	// as many. One message of the largest size is always accepted. 0 is 1 s.
	RateBurst time.Duration
	// MaxRegistrationBytes is the largest registration, which the hub keeps; 0 is
	// 256 KiB. Over it the answer is MESSAGE_TOO_LARGE, then 4501.
	MaxRegistrationBytes int
	// MaxDepth is how deep arrays and objects may be nested in a value that the hub accepts, from a
	// spoke, over HTTP or from the embedding program: an input, metadata, an output, the payload of an
	// event, the details of an error. It is announced to spokes. A scalar has depth 0, [] has 1. 0 is
	// 256; at most 9,900. A value that is deeper fails its own call or event: VALIDATION_ERROR for a
	// request, EXECUTION_ERROR for a response.
	MaxDepth int
	// MaxMessageBytes is the largest message that the hub accepts from a spoke; 0 is 1 MiB, at most 2 GiB. It is announced to
	// spokes. A message that is more than 64 KiB larger closes the connection with 1009.
	MaxMessageBytes int64
	// MaxInFlight is the limit of requests of one spoke that are served concurrently; 0 is 64. Handlers of the hub's
	// own operations that still run when their session has ended count for the next session of the spoke.
	MaxInFlight int
	// MaxSpokeInFlight bounds the calls in flight at one spoke, whatever
	// it announces; 0 is 4,096. Over it the spoke counts as full.
	MaxSpokeInFlight int
	// MaxOperations is how many operations one spoke may register; 0 is 1,024. Over it the answer is VALIDATION_ERROR, then
	// 4501.
	MaxOperations int
	// MaxTopics is how many topics one spoke may subscribe to; 0 is 10,000. A further subscription is denied with OVERLOADED.
	MaxTopics int
	// LogBytes bounds the outbound queue of a session: the frames that the spoke has not acknowledged. 0 is 4 MiB or twice
	// MaxMessageBytes, whichever is more. While it is full, requests and responses wait. Control frames and the
	// last frames of calls are always admitted; a queue that they drive over twice the limit ends the session (4002).
	LogBytes int
	// EventBytes bounds the events that wait to be written to one spoke; 0 is 1 MiB. Over it events are dropped and a gap is
	// reported in their place.
	EventBytes int
	// CloseSlowReaders closes a connection (4002) instead of dropping events.
	CloseSlowReaders bool

	// SessionWindow is how long the hub keeps the session of a spoke whose connection was lost; 0 is 15 s, negative turns
	// sessions off.
	SessionWindow time.Duration
	// MaxWaiting bounds the detached sessions; 0 is 10,000. Over it a session
	// ends with its connection.
	MaxWaiting int
	// MaxWaitingBytes bounds the bytes that all detached sessions hold together; 0 is 256 MiB. Over it
	// they accept no more frames. Sessions with a connection are not charged.
	MaxWaitingBytes int64

	// HandshakeTimeout is the time until a connection has registered; 0 is 10 s. While the registration is on its way, the hub
	// waits until it has received nothing for that time, in all at most that time and 1 s for each 16 KiB of
	// MaxRegistrationBytes. Over it the connection is closed with 4000.
	HandshakeTimeout time.Duration
	// HeartbeatInterval is for how long a side may send nothing: then it sends a sign of life, and the hub sends
	// a WebSocket ping if it has received nothing for that long. It is announced to spokes. 0 is 25 s.
	HeartbeatInterval time.Duration
	// HeartbeatTimeout is how long after HeartbeatInterval the hub closes a connection on which it has received no byte, with
	// 4001; its session is kept. 0 is 10 s.
	HeartbeatTimeout time.Duration
	// WriteTimeout is for how long the system may accept no byte of a write before the connection is dropped, as in
	// [transport.AcceptOptions]; the whole write may take longer. 0 is 30 s.
	WriteTimeout time.Duration
	// StreamGrace is how long streams continue after Shutdown has begun. Then they end with UNAVAILABLE,
	// which wraps [ErrDraining], so that an endless stream does not delay Shutdown; the cause of a
	// handler's context wraps it too. Streams that are part of a unary call end with that call. 0 is 5 s,
	// negative leaves streams alone.
	StreamGrace time.Duration
	// DrainTimeout is how long a draining connection may continue its calls after a newer registration has taken
	// its spoke id. Then the hub closes it with 4502; 0 is 60 s.
	DrainTimeout time.Duration
	// DrainSpread is the time over which the reconnects of the spokes are spread when
	// the hub drains; 0 is 5 s. It is also the Retry-After of a hub that is draining or full, at least 1 s.
	DrainSpread time.Duration

	// Interceptors wrap every call that the embedding program makes with the hub, the first outermost; [call.Retry]
	// is one. For some calls only, use [call.Intercept]; for handlers, [call.Registry.Use] of [Hub.Operations].
	Interceptors []call.Interceptor
	// Backplane joins hubs; nil is memory, for a hub that is alone.
	Backplane *Backplane
	// Logger receives the messages for the operator; nil logs nothing.
	Logger *zerolog.Logger
}

// DefaultMaxMessageBytes is the largest message that a hub accepts by default.
const DefaultMaxMessageBytes = 1 << 20

// ErrOptions is what [New] wraps when an option is out of its range or options contradict each other.
var ErrOptions = errors.New("hub: options")

// withDefaults returns a copy in which everything is set.
func (o *Options) withDefaults() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	switch {
	case c.Authenticate == nil && !c.AllowAnonymous:
		return c, fmt.Errorf("%w: Authenticate is needed, or AllowAnonymous to let everybody in", ErrOptions)
	case c.Authenticate != nil && c.AllowAnonymous:
		return c, fmt.Errorf("%w: Authenticate and AllowAnonymous exclude each other", ErrOptions)
	}
	if c.AllowAnonymous {
		c.Authenticate = anonymous
	}
	if c.ID == "" {
		c.ID = uuid.NewString()
	}
	orInt(&c.MaxConnections, 1<<16)
	orInt(&c.MaxIdentityConnections, 1<<14)
	orInt(&c.FramesPerSecond, 1_000_000)
	orInt64(&c.BytesPerSecond, 1<<30)
	orDuration(&c.RateBurst, time.Second)
	orInt(&c.MaxRegistrationBytes, 256<<10)
	orInt(&c.MaxDepth, wire.DefaultMaxDepth)
	orInt(&c.MaxSpokeInFlight, 4096)
	orInt64(&c.MaxMessageBytes, DefaultMaxMessageBytes)
	orInt(&c.MaxInFlight, peer.DefaultMaxInFlight)
	orInt(&c.MaxOperations, 1024)
	orInt(&c.MaxTopics, wstarget.DefaultMaxTopics)
	orInt(&c.LogBytes, int(max(4<<20, 2*c.MaxMessageBytes)))
	orInt(&c.EventBytes, 1<<20)
	orDuration(&c.SessionWindow, 15*time.Second)
	orInt(&c.MaxWaiting, 10_000)
	orInt64(&c.MaxWaitingBytes, 256<<20)
	orDuration(&c.HandshakeTimeout, 10*time.Second)
	orDuration(&c.HeartbeatInterval, 25*time.Second)
	orDuration(&c.HeartbeatTimeout, 10*time.Second)
	orDuration(&c.WriteTimeout, 30*time.Second)
	orDuration(&c.DrainSpread, 5*time.Second)
	orDuration(&c.StreamGrace, 5*time.Second)
	orDuration(&c.DrainTimeout, time.Minute)
	if c.Logger == nil {
		nop := zerolog.Nop()
		c.Logger = &nop
	}
	return c, c.validate()
}

// validate reports what a layer below would refuse later, when a spoke connects.
func (o *Options) validate() error {
	for _, n := range []struct {
		option string
		value  int64
	}{
		{"RateBurst", int64(o.RateBurst)}, {"MaxRegistrationBytes", int64(o.MaxRegistrationBytes)}, {"MaxDepth", int64(o.MaxDepth)},
		{"MaxMessageBytes", o.MaxMessageBytes}, {"MaxInFlight", int64(o.MaxInFlight)}, {"MaxSpokeInFlight", int64(o.MaxSpokeInFlight)},
		{"MaxOperations", int64(o.MaxOperations)}, {"MaxTopics", int64(o.MaxTopics)}, {"LogBytes", int64(o.LogBytes)},
		{"EventBytes", int64(o.EventBytes)}, {"MaxWaiting", int64(o.MaxWaiting)}, {"MaxWaitingBytes", o.MaxWaitingBytes},
		{"HandshakeTimeout", int64(o.HandshakeTimeout)}, {"HeartbeatInterval", int64(o.HeartbeatInterval)},
		{"HeartbeatTimeout", int64(o.HeartbeatTimeout)}, {"WriteTimeout", int64(o.WriteTimeout)}, {"DrainSpread", int64(o.DrainSpread)},
		{"DrainTimeout", int64(o.DrainTimeout)},
	} {
		if n.value < 0 {
			return fmt.Errorf("%w: %s is negative", ErrOptions, n.option)
		}
	}
	if o.MaxDepth > wire.MaxDepth {
		return fmt.Errorf("%w: MaxDepth is %d, at most %d", ErrOptions, o.MaxDepth, wire.MaxDepth)
	}
	if err := registration.CheckName("ID", o.ID); err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	if b := o.Backplane; b != nil && b.Links != nil && b.Directory == nil {
		return fmt.Errorf("%w: Backplane has Links and no Directory, without which no other hub is found", ErrOptions)
	}
	if o.URL != "" {
		if err := transport.ValidURL(o.URL); err != nil {
			return fmt.Errorf("%w: %w", ErrOptions, err)
		}
	}
	if _, err := weborigin.New(o.Origins); err != nil {
		return fmt.Errorf("%w: Origins: %w", ErrOptions, err)
	}
	h := handshakeOptions(o)
	if err := h.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return nil
}

func orInt(p *int, d int) {
	if *p == 0 {
		*p = d
	}
}

func orInt64(p *int64, d int64) {
	if *p == 0 {
		*p = d
	}
}

func orDuration(p *time.Duration, d time.Duration) {
	if *p == 0 {
		*p = d
	}
}

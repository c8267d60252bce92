package spoke

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/redact"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/transport"
)

// Options configure a Spoke. They are copied by [New]. The zero value of a field selects its default.
type Options struct {
	// ID is the spoke's id; empty lets the hub choose one for each session. It should be unique: of two
	// processes that run at the same time under one id, the newer one replaces the older, whose calls in
	// flight end (unless it is in Shutdown) and whose Run returns an error with close code 4502. Use a
	// different id for each replica, or none, and distinguish them by Labels; a fixed id is for a single
	// process that callers address with call.To. It has at most 128 bytes of UTF-8 without control
	// characters, and no segment of it (what dots and colons separate) is exactly "*" or ">".
	ID string
	// Name and Version are for people who look at the hub. They are UTF-8, and so are Labels.
	Name    string
	Version string
	// Labels are compared by call.Select. [Spoke.SetLabels] changes them while the spoke runs.
	Labels map[string]string
	// Token returns the bearer token. It is called before each dial, so that it can fetch a new one; its context
	// ends with the dial's timeout. Nil sends none. An error, or a panic, counts as a failed dial.
	Token func(ctx context.Context) (string, error)

	// URLs are further hubs, dialed in turn with the URL of New. The delay between dials grows when all have failed.
	URLs []string
	// Discover finds the URLs of the hubs instead: they are dialed in turn, in the order in which it returns them,
	// and it is called again when all have failed or the connection is lost. The order is no preference: if
	// the URL that was dialed last is among them, the turn begins after it, so that a hub that has drained or
	// failed is dialed last. While the session of a lost connection is kept, its hub is dialed first, and
	// Discover is called only if the hub has named a URL of its own (hub.Options.URL) and none of the URLs leads to a hub. URLs that cannot be dialed are logged and left out. An error, a panic, and a
	// result without a URL count as a failed dial; then the URLs that were returned before are dialed again.
	// Its context ends with the dial's timeout. If it is set, the URL of New and URLs must be empty. Nil, the
	// default, uses them.
	Discover func(ctx context.Context) ([]string, error)
	// HTTPClient dials; nil is http.DefaultTransport. TLS and proxies are configured there.
	HTTPClient *http.Client
	// Header is sent with the handshake. It must not have Authorization if Token is set.
	Header http.Header
	// Dialer replaces the WebSocket dialer. HTTPClient must then be nil.
	Dialer transport.Dialer

	// MaxInFlight is the limit of requests that are served concurrently; 0 is 64. Handlers that still run when their
	// session has ended count for the next session.
	MaxInFlight int
	// MaxMessageBytes is the largest message that the spoke accepts from the hub; 0 is 1 MiB, at most 2 GiB. It is announced to
	// the hub. A message that is more than 64 KiB larger closes the connection with 1009.
	MaxMessageBytes int64
	// MaxDepth is how deep arrays and objects may be nested in a value that the spoke accepts from the hub:
	// an input, metadata, an output, the payload of an event, the details of an error. A scalar has depth
	// 0, [] has 1. 0 is 256; at most 9,900. A value that is deeper fails its own call, or becomes a gap
	// in its topic.
	MaxDepth int
	// LogBytes bounds the outbound queue: the frames that the hub has not acknowledged. 0 is 4 MiB or twice
	// MaxMessageBytes, whichever is more. While it is full, requests and responses wait.
	LogBytes int

	// SessionWindow is how long the hub keeps the session after its connection is lost, if that is less
	// than the hub's own window (hub.Options.SessionWindow). Then the calls in flight end with
	// DISCONNECTED, and the spoke is no longer registered. 0 is the hub's.
	SessionWindow time.Duration
	// NoSession asks the hub for no session: every lost connection then ends the calls in
	// flight, and subscriptions get a gap.
	NoSession bool

	// HandshakeTimeout is the time from the beginning of a dial until the spoke is registered, besides 1 s for each 16 KiB of
	// its registration; 0 is 10 s. A dial that offers a session in turn with another URL has at most a third of the window.
	HandshakeTimeout time.Duration
	// HeartbeatTimeout is how long after the hub's heartbeat interval (hub.Options.HeartbeatInterval) the spoke drops a
	// connection on which it has received no byte; its session is kept. 0 is 10 s. On js/wasm, where the bytes of an
	// unfinished message are not seen, 1 s for each 16 KiB of MaxMessageBytes is added.
	HeartbeatTimeout time.Duration
	// BackoffMin is the upper end of the first delay; 0 is 200 ms, or BackoffMax if that is less. It doubles up
	// to BackoffMax; 0 is 20 s, or BackoffMin if that is more. Each delay is chosen at random between 0 and that; while the
	// spoke keeps a session, it is at most a third of the window.
	BackoffMin time.Duration
	BackoffMax time.Duration
	// RetryAfterMax caps the Retry-After of a hub; 0 is 2 min. The spoke does not dial the URL that answered with it
	// for that time; it dials the others (URLs) meanwhile.
	RetryAfterMax time.Duration
	// BackoffReset is how long the spoke must have been registered for the delays to restart at BackoffMin; 0 is 10 s. They
	// also restart when a resumed session has advanced (protocol section 7), since on a network that cuts often the
	// calls in flight wait for each delay.
	BackoffReset time.Duration

	// StreamGrace is how long streams continue, in both directions, after Shutdown has begun. Then they
	// end with UNAVAILABLE, which wraps [ErrDraining], so that an endless stream does not delay Shutdown;
	// the cause of a handler's context wraps it too. Streams that are part of a unary call end with that
	// call. 0 is 5 s, negative leaves streams alone.
	StreamGrace time.Duration

	// Interceptors wrap every call that is made with the spoke, the first outermost; [call.Retry] is one. For some
	// calls only, use [call.Intercept]; for handlers, [call.Registry.Use] of [Spoke.Operations].
	Interceptors []call.Interceptor
	// OnState is called at every change of state, in order. It must not block, nor
	// call Shutdown. A panic is logged and counted.
	OnState func(State)
	// Logger receives the messages for the operator; nil logs nothing.
	Logger *zerolog.Logger
}

// DefaultMaxMessageBytes is the largest message that a spoke accepts by default.
const DefaultMaxMessageBytes = 1 << 20

// ErrOptions is wrapped by the error of [New] for wrong options, and of [Spoke.SetLabels] for wrong labels.
var ErrOptions = errors.New("spoke: options")

// StaticToken returns a Token function that returns the same token for each dial.
func StaticToken(secret string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return secret, nil }
}

func (o *Options) withDefaults(first string) (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Discover == nil {
		c.URLs = append([]string{first}, c.URLs...)
	} else if first != "" || len(c.URLs) > 0 {
		return c, fmt.Errorf("%w: Discover and URLs exclude each other: leave out the URL of New and URLs, or Discover", ErrOptions)
	}
	for i, u := range c.URLs {
		if err := c.checkURL(u); err != nil && i == 0 {
			return c, fmt.Errorf("%w: %w", ErrOptions, err)
		} else if err != nil {
			return c, fmt.Errorf("%w: URLs[%d]: %w", ErrOptions, i-1, err)
		}
	}
	if err := c.validate(); err != nil {
		return c, err
	}
	orDefault(&c.MaxInFlight, peer.DefaultMaxInFlight)
	orDefault(&c.MaxMessageBytes, DefaultMaxMessageBytes)
	orDefault(&c.MaxDepth, wire.DefaultMaxDepth)
	orDefault(&c.LogBytes, int(max(4<<20, 2*c.MaxMessageBytes)))
	orDefault(&c.StreamGrace, 5*time.Second)
	orDefault(&c.HandshakeTimeout, 10*time.Second)
	orDefault(&c.HeartbeatTimeout, 10*time.Second)
	if c.BackoffMin == 0 && c.BackoffMax > 0 {
		c.BackoffMin = min(200*time.Millisecond, c.BackoffMax)
	}
	orDefault(&c.BackoffMin, 200*time.Millisecond)
	orDefault(&c.BackoffMax, max(20*time.Second, c.BackoffMin))
	orDefault(&c.BackoffReset, 10*time.Second)
	orDefault(&c.RetryAfterMax, 2*time.Minute)
	if c.Logger == nil {
		nop := zerolog.Nop()
		c.Logger = &nop
	}
	if c.Dialer == nil {
		c.Dialer = &transport.WebSocketDialer{Client: c.HTTPClient, Subprotocols: []string{"hubspoke.v1"},
			MaxMessageBytes: c.MaxMessageBytes}
	}
	return c, c.checkDialer()
}

// validate reports what a layer below, or the hub, would refuse later.
func (o *Options) validate() error {
	for _, n := range []struct {
		option string
		value  int64
	}{
		{"MaxInFlight", int64(o.MaxInFlight)}, {"MaxMessageBytes", o.MaxMessageBytes}, {"LogBytes", int64(o.LogBytes)},
		{"MaxDepth", int64(o.MaxDepth)},
		{"HandshakeTimeout", int64(o.HandshakeTimeout)}, {"HeartbeatTimeout", int64(o.HeartbeatTimeout)},
		{"BackoffMin", int64(o.BackoffMin)}, {"BackoffMax", int64(o.BackoffMax)}, {"BackoffReset", int64(o.BackoffReset)},
		{"SessionWindow", int64(o.SessionWindow)}, {"RetryAfterMax", int64(o.RetryAfterMax)},
	} {
		if n.value < 0 {
			return fmt.Errorf("%w: %s is negative", ErrOptions, n.option)
		}
	}
	switch {
	case o.MaxDepth > wire.MaxDepth:
		return fmt.Errorf("%w: MaxDepth is %d, at most %d", ErrOptions, o.MaxDepth, wire.MaxDepth)
	case o.BackoffMax > 0 && o.BackoffMin > o.BackoffMax:
		return fmt.Errorf("%w: BackoffMin is %v and BackoffMax %v", ErrOptions, o.BackoffMin, o.BackoffMax)
	case o.Dialer != nil && o.HTTPClient != nil:
		return fmt.Errorf("%w: Dialer and HTTPClient exclude each other: the Dialer has a client of its own", ErrOptions)
	case o.Token != nil && o.Header.Get("Authorization") != "":
		return fmt.Errorf("%w: Token and the Authorization of Header exclude each other", ErrOptions)
	}
	return checkHeader(o.Header)
}

// checkURL reports why a URL cannot be dialed.
func (o *Options) checkURL(raw string) error {
	if err := transport.ValidURL(raw); err != nil {
		return err
	}
	if u, err := url.Parse(raw); err == nil && u.User != nil && (o.Token != nil || o.Header.Get("Authorization") != "") {
		return fmt.Errorf("URL %q has user info, which is sent as Authorization, as Token or Header are: leave out one of them", redact.URL(raw))
	}
	return nil
}

// handshakeHeaders are those that belong to the handshake itself.
var handshakeHeaders = []string{"Connection", "Upgrade", "Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Extensions", "Sec-Websocket-Protocol"}

// checkHeader reports what would fail every dial. Values are not shown: they may be secret.
func checkHeader(header http.Header) error {
	for name, values := range header {
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) }) {
			return fmt.Errorf("%w: Header has a malformed name %q", ErrOptions, name)
		}
		if slices.Contains(handshakeHeaders, http.CanonicalHeaderKey(name)) {
			return fmt.Errorf("%w: Header has %s, which belongs to the handshake", ErrOptions, name)
		}
		for _, v := range values {
			if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				return fmt.Errorf("%w: a value of the header %s has a control character", ErrOptions, name)
			}
		}
	}
	return nil
}

// checkDialer asks the dialer whether it can dial at all, and whether it takes what the spoke announces.
func (o *Options) checkDialer() error {
	if d, ok := o.Dialer.(interface{ Validate() error }); ok {
		if err := d.Validate(); err != nil {
			return fmt.Errorf("%w: %w", ErrOptions, err)
		}
	}
	d, ok := o.Dialer.(*transport.WebSocketDialer)
	if !ok {
		return nil
	}
	takes := d.MaxMessageBytes
	orDefault(&takes, DefaultMaxMessageBytes)
	if takes < o.MaxMessageBytes {
		return fmt.Errorf("%w: MaxMessageBytes is %d, and that of Dialer %d", ErrOptions, o.MaxMessageBytes, takes)
	}
	return nil
}

func orDefault[T int | int64 | time.Duration](p *T, d T) {
	if *p == 0 {
		*p = d
	}
}

package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/internal/origin"
)

// Options configure a Handler. They are copied by [New]. What is zero has its default.
type Options struct {
	// Authenticate returns the identity of a request; nil is the hub's own authenticator.
	Authenticate hub.Authenticator
	// AllowAnonymous lets every client in as the identity call.Anonymous. Authenticate must then be nil.
	AllowAnonymous bool
	// Origins are the origins from which browsers may come besides the gateway's own host, as in
	// hub.Options; nil is what the hub allows, an empty list is none.
	Origins []string
	// MaxMessageBytes is the largest body; 0 is hub.Options.MaxMessageBytes. Over it the answer is 413.
	MaxMessageBytes int64
	// KeepAlive is how often an event stream gets a comment line; 0 is 15 s.
	KeepAlive time.Duration
	// WriteTimeout is how long a client may take for each 16 KiB of an answer, and for each value of a stream;
	// 0 is 30 s. Over it the connection is closed.
	WriteTimeout time.Duration
	// ReadTimeout is how long a body may take to arrive, besides 1 s for each 16 KiB that it announces, or of
	// MaxMessageBytes if it announces no length (chunked encoding); 0 is 10 s.
	// Over it the answer is 408.
	ReadTimeout time.Duration
	// MaxIdentityRequests bounds the requests of one identity that are served at the same time, streams aside;
	// 0 is 1,024, negative is no bound. Over it the answer is 429 with Retry-After.
	MaxIdentityRequests int
	// MaxIdentityStreams bounds the streams of one identity likewise: those of events, and of calls that answer
	// with a stream; 0 is 1,024, negative is no bound.
	MaxIdentityStreams int
}

// ErrOptions is what [New] wraps when the options are wrong.
var ErrOptions = errors.New("gateway: options")

// Handler serves the routes of the package comment. It is safe for concurrent use and needs no
// closing: it ends with its requests. Make one with [New].
type Handler struct {
	hub      *hub.Hub
	opts     Options
	maxDepth int // the nesting of values that the hub accepts
	origins  origin.Policy
	requests places
	streams  places
	refused  func(r *http.Request, err error) // logs the error, which is not sent to the client
	failed   func(r *http.Request, err error) // likewise, of a request that could not be checked
}

var _ http.Handler = (*Handler)(nil)

// New makes a gateway to the hub. A nil o is all defaults. It fails with [ErrOptions].
func New(h *hub.Hub, o *Options) (*Handler, error) {
	if h == nil {
		return nil, fmt.Errorf("%w: no hub", ErrOptions)
	}
	var c Options
	if o != nil {
		c = *o
	}
	from := h.Options()
	if err := c.complete(&from); err != nil {
		return nil, err
	}
	log := from.Logger.With().Str("hub", from.ID).Logger()
	origins, err := origin.New(c.Origins)
	if err != nil {
		return nil, fmt.Errorf("%w: Origins: %w", ErrOptions, err)
	}
	g := &Handler{hub: h, opts: c, maxDepth: from.MaxDepth, origins: origins,
		requests: places{limit: c.MaxIdentityRequests, option: "gateway.Options.MaxIdentityRequests"},
		streams:  places{limit: c.MaxIdentityStreams, option: "gateway.Options.MaxIdentityStreams"}}
	g.refused = func(r *http.Request, err error) {
		log.Info().Err(err).Str("remote", r.RemoteAddr).Str("path", r.URL.Path).Msg("request refused")
	}
	g.failed = func(r *http.Request, err error) {
		log.Error().Err(err).Str("remote", r.RemoteAddr).Str("path", r.URL.Path).Msg("request refused")
	}
	return g, nil
}

// complete checks the options and fills in what is zero from the hub's.
func (o *Options) complete(from *hub.Options) error {
	switch {
	case o.Authenticate != nil && o.AllowAnonymous:
		return fmt.Errorf("%w: Authenticate and AllowAnonymous exclude each other", ErrOptions)
	case o.MaxMessageBytes < 0 || o.KeepAlive < 0 || o.WriteTimeout < 0 || o.ReadTimeout < 0:
		return fmt.Errorf("%w: a bound or a time is negative", ErrOptions)
	}
	if o.AllowAnonymous {
		o.Authenticate = anonymous
	}
	if o.Authenticate == nil {
		o.Authenticate = from.Authenticate
	}
	if o.Origins == nil {
		o.Origins = from.Origins
	}
	if o.MaxMessageBytes == 0 {
		o.MaxMessageBytes = from.MaxMessageBytes
	}
	if o.KeepAlive == 0 {
		o.KeepAlive = 15 * time.Second
	}
	if o.WriteTimeout == 0 {
		o.WriteTimeout = 30 * time.Second
	}
	if o.ReadTimeout == 0 {
		o.ReadTimeout = 10 * time.Second
	}
	if o.MaxIdentityRequests == 0 {
		o.MaxIdentityRequests = 1024
	}
	if o.MaxIdentityStreams == 0 {
		o.MaxIdentityStreams = 1024
	}
	return nil
}

// ServeHTTP serves one request.
func (g *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	if r.ContentLength != 0 {
		header.Set("Connection", "close") // until the body has been read: the server would wait for it before it answers
		defer func() {
			if header.Get("Connection") != "" {
				_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // and before it closes
			}
		}()
	}
	w = &timedWriter{w, http.NewResponseController(w), g.opts.WriteTimeout}
	if err := g.admitOrigin(w, r); err != nil {
		g.refused(r, err)
		fail(w, denied("the origin is not allowed"))
		return
	}
	to, found := g.find(r.URL.EscapedPath())
	switch {
	case !found:
		failWith(w, http.StatusNotFound, "NOT_FOUND", "there is no such route")
	case isPreflight(r):
		preflight(w, to.method)
	case r.Method != to.method && (r.Method != http.MethodHead || !to.head):
		w.Header().Set("Allow", to.allow())
		failWith(w, http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "the route takes "+to.allow())
	case to.open != nil:
		to.open(w, r)
	default:
		if id := g.authenticate(w, r); id != nil {
			g.serve(&to, w, r, id)
		}
	}
}

// serve serves a request of an identity, within its bound.
func (g *Handler) serve(to *route, w http.ResponseWriter, r *http.Request, id *call.Identity) {
	if to.own {
		to.serve(w, r, id)
		return
	}
	if e := g.requests.enter(id.ID); e != nil {
		fail(w, e)
		return
	}
	defer g.requests.leave(id.ID)
	to.serve(w, r, id)
}

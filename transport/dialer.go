package transport

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/alkdev/hubspoke/internal/redact"
)

// WebSocketDialer dials ws, wss, http and https URLs. The zero value is usable;
// it may be used concurrently and must not be changed meanwhile.
type WebSocketDialer struct {
	// Client makes the handshake request: proxy, TLS, cookies, redirects and the timeout of the handshake
	// are its own. A browser (GOOS=js) makes it itself, and Client must be nil. Of an *http.Transport in it
	// the settings are used, for a connection of HTTP/1.1 that is not shared; any other RoundTripper is used
	// as it is, and must return a writable body whose Close unblocks its Read and Write. nil means
	// http.DefaultTransport.
	Client *http.Client
	// Subprotocols are offered to the server, best first. Empty: none.
	Subprotocols []string
	// MaxMessageBytes is the largest message that this side announces to take;
	// the limit in force is 64 KiB higher (protocol section 2). 0 means 1 MiB.
	MaxMessageBytes int64
	// WriteTimeout is for how long the system may accept no byte of a write before the connection is dropped;
	// the whole write may take longer. 0 means 30 s.
	WriteTimeout time.Duration
	// Linger is for how long no byte may flow, in either direction, while Close waits for the other
	// side's answer. Data that was written before delays the close frame; in all Close waits at most
	// WriteTimeout. 0 means 1 s.
	Linger time.Duration
}

var _ Dialer = (*WebSocketDialer)(nil)

// Validate reports the first thing that is wrong with the options: a negative
// size or time, a subprotocol that is no HTTP token.
func (d *WebSocketDialer) Validate() error {
	_, err := d.parse()
	return err
}

func (d *WebSocketDialer) parse() (limits, error) {
	return parseLimits(d.MaxMessageBytes, d.WriteTimeout, d.Linger, d.Subprotocols)
}

// parseLimits checks the options that both ends have.
func parseLimits(maxMessage int64, writeTimeout, linger time.Duration, subprotocols []string) (limits, error) {
	lim, err := newLimits(maxMessage, writeTimeout, linger)
	if err != nil {
		return limits{}, fmt.Errorf("transport: %w", err)
	}
	return lim, validSubprotocols(subprotocols)
}

// ValidURL returns an error if a WebSocket [Dialer] would not accept the URL: it does not parse, names no
// host, or its scheme is not ws, wss, http or https. Its text contains neither user info nor query of the
// URL.
func ValidURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return errors.New("not a valid URL (it is not shown, since it may contain a password)")
	case u.Opaque != "": // "localhost:8080/spoke" parses as the scheme localhost
		return errors.New("not a URL with a host (it is not shown, since it may contain a password); it begins with ws://, wss://, http:// or https://")
	case u.Scheme != "ws" && u.Scheme != "wss" && u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("URL %q: the scheme must be ws, wss, http or https", redact.URL(raw))
	case u.Hostname() == "":
		return fmt.Errorf("URL %q names no host", redact.URL(raw))
	}
	return nil
}

func validSubprotocols(names []string) error {
	for _, name := range names {
		if name == "" || strings.ContainsFunc(name, func(r rune) bool {
			return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
		}) {
			return fmt.Errorf("transport: subprotocol %q is not a token", name)
		}
	}
	return nil
}

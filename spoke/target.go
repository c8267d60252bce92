package spoke

import (
	"net/url"
	"strings"
	"time"

	"github.com/alkdev/hubspoke/transport"
)

// targets decides where the next dial goes: to the spoke's own URLs, and, while it keeps a session, to
// those that hubs have named for it (protocol section 8). It belongs to the goroutine of Run.
type targets struct {
	rotation // the spoke's own URLs

	// While a session is kept:
	named   string // the URL that its hub has named; "" for none
	ownNext bool   // after a dial to named
	moved   string // the URL that another hub has named with 4007: it is dialed immediately
	moves   int    // how often that happened since the connection was lost
}

// next returns the URL of the next dial, and whether a hub has named it. Offers reports whether a session is offered.
func (t *targets) next(offers bool) (target string, named bool) {
	if !offers {
		t.forget()
	}
	if t.moved != "" {
		target, t.moved = t.moved, ""
		return target, true
	}
	if t.namedNext(0) {
		t.ownNext = true
		return t.named, true
	}
	target = t.url()
	if t.named != "" {
		t.ownNext = false
		t.advance()
	}
	return target, false
}

// namedNext reports whether the dial after delay goes to the URL that the hub of the session has named.
func (t *targets) namedNext(delay time.Duration) bool {
	return t.named != "" && !t.ownNext && time.Until(t.busy[t.named]) <= delay
}

// forget drops the URLs that hubs have named, once there is no session to offer there.
func (t *targets) forget() { t.named, t.ownNext, t.moved, t.moves = "", false, "", 0 }

// registered notes the URL that the answer to a registration names. Dialed is where the answer came from.
func (t *targets) registered(dialed, named string) {
	t.forget()
	if mayFollow(dialed, named) {
		t.named = named
	}
}

// move notes that a hub has named another one that holds the session. It returns false if the spoke must not follow.
func (t *targets) move(dialed, elsewhere string) bool {
	t.moves++
	if t.moves > 1 || !mayFollow(dialed, elsewhere) {
		return false
	}
	t.moved = elsewhere
	return true
}

// mayFollow reports whether a URL that the hub at dialed has named may be dialed: credentials never go
// from an encrypted connection to one that is not.
func mayFollow(dialed, named string) bool {
	if transport.ValidURL(named) != nil { // "" is none either
		return false
	}
	return encrypted(named) || !encrypted(dialed)
}

func encrypted(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && (strings.EqualFold(u.Scheme, "wss") || strings.EqualFold(u.Scheme, "https"))
}

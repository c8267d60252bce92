package spoke

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/alkdev/hubspoke/transport"
)

// When a hub's refusal of credentials is final (protocol section 1): once this many different tokens
// were refused, the first of them at least this long ago.
const (
	refusalTokens = 3
	refusalTime   = 30 * time.Second
)

// refusals decides when a refusal of tokens is final. It
// belongs to the goroutine of Run. The zero value has seen nothing.
type refusals struct {
	accepted *string         // the token of the last registration; nil before the first
	refused  map[string]bool // the tokens that were refused since
	since    time.Time       // when the first of them was
	last     error           // the last refusal
}

// admitted notes that the spoke has registered with the token.
func (r *refusals) admitted(token string) { *r = refusals{accepted: &token} }

// note records how a dial with the token ended. It reports whether that is a refusal which is final now.
func (r *refusals) note(token string, err error, now time.Time) bool {
	if !unauthenticated(err) {
		return false
	}
	if r.refused == nil {
		r.refused, r.since = make(map[string]bool), now
	}
	r.refused[token] = true
	r.last = err
	return len(r.refused) >= refusalTokens && now.Sub(r.since) >= refusalTime
}

// repeated returns the refusal of a token that the token function returns again, nil if the token may
// be offered. One that was accepted before may be offered for a while: it has probably expired, and the
// source of tokens may lag behind the hub's clock.
func (r *refusals) repeated(token string, now time.Time) error {
	switch {
	case !r.refused[token]:
		return nil
	case r.accepted != nil && *r.accepted == token && now.Sub(r.since) < refusalTime:
		return nil
	}
	return fmt.Errorf("the token was refused and Options.Token returns no other: %w", r.last)
}

// unauthenticated reports whether a hub has refused the credentials.
func unauthenticated(err error) bool {
	if ce, ok := errors.AsType[*transport.CloseError](err); ok && ce.Remote {
		return ce.Code == transport.CloseNotAuthenticated && strings.HasPrefix(ce.Reason, transport.RefusedUnauthenticated)
	}
	he, ok := errors.AsType[*transport.HandshakeError](err)
	return ok && he.Refused == transport.RefusedUnauthenticated
}

// terminal reports whether a hub's refusal is final (protocol sections 1 and 7). A refusal of
// credentials is not among these: see refusals.
func terminal(err error) bool {
	if ce, ok := errors.AsType[*transport.CloseError](err); ok && ce.Remote {
		return ce.Code.Terminal() && !unauthenticated(err)
	}
	he, ok := errors.AsType[*transport.HandshakeError](err)
	return ok && he.Refused == transport.RefusedForbidden
}

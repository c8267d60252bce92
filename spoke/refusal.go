package spoke

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
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
	if token == "" {
		return fmt.Errorf("the hub wants a token, and Options.Token is not set or returns none: %w", r.last)
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

// refused reports whether the attempt ended with a refusal that is final.
func (l *loop) refused(a *attempt) bool {
	return a.repeated || !a.answered && l.tokens.note(a.token, a.err, time.Now()) || terminal(a.err)
}

// refusesOffer reports whether the registration was refused in a way that ends the session that it offered and not
// the spoke (protocol section 8): the spoke then registers with a new session at its own URLs.
func (a *attempt) refusesOffer() bool {
	if !a.offered || a.answered {
		return false
	}
	if he, ok := errors.AsType[*transport.HandshakeError](a.err); ok {
		return a.named && (he.Status == http.StatusUnauthorized || he.Status == http.StatusForbidden)
	}
	ce, ok := errors.AsType[*transport.CloseError](a.err)
	switch {
	case !ok || !ce.Remote || !ce.Code.Terminal() || ce.Code == transport.CloseReplaced || ce.Code == transport.CloseKicked:
		return false
	case ce.Code == transport.CloseRegistrationRefused:
		return true
	}
	return a.named
}

// elsewhere reports whether a hub has answered that another one has the session, and returns the URL that it has named, ""
// for none.
func (a *attempt) elsewhere() (named string, moved bool) {
	ce, ok := errors.AsType[*transport.CloseError](a.err)
	if a.answered || !ok || !ce.Remote || ce.Code != transport.CloseResumeElsewhere {
		return "", false
	}
	if refusal, ok := errors.AsType[*call.Error](a.err); ok {
		_ = jsonscan.Decode(refusal.Details, jsonscan.StringField("url", &named)) // "" is not followed
	}
	return named, true
}

package hub

import (
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/callcore"
)

// Authenticator returns who makes a request: a spoke that dials, or a client of the
// gateway. It may block, for example to ask a database; the request's context bounds
// it. It is called once for each connection, before the connection is accepted.
//
// An error that wraps [ErrUnauthenticated] or [ErrForbidden] refuses the client, which then stops or obtains
// other credentials (protocol section 1). Every other error means that the credentials could not be checked: the
// hub answers 503, and the client reconnects. The same holds for a panic, and for a nil error
// with an identity that is nil or not valid (see [Hub.Accept]). The text of an error is logged and not sent.
//
// When the identity's Expires has passed or its Revoked is closed, the connection is closed with 4005 within a
// second, and the spoke resumes its session with new credentials.
type Authenticator func(r *http.Request) (*call.Identity, error)

// Errors that an [Authenticator] wraps to refuse a client.
var (
	// ErrUnauthenticated reports that the credentials are missing, wrong or expired.
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrForbidden reports that the identity is known and is not allowed to connect.
	ErrForbidden = errors.New("forbidden")
)

// Identify calls the authenticator and enforces its contract: a nil error comes with an identity that
// is valid (see [Hub.Accept]) and whose credentials are currently valid; a panic becomes an error. A program uses it to
// authenticate its own requests as the hub does.
func (a Authenticator) Identify(r *http.Request) (id *call.Identity, err error) {
	defer func() {
		if p := recover(); p != nil {
			id, err = nil, fmt.Errorf("the authenticator panicked: %v\n%s", p, debug.Stack())
		}
	}()
	id, err = a(r)
	switch {
	case err != nil:
		return nil, err
	case id == nil:
		return nil, errors.New("the authenticator returned neither an identity nor an error")
	case checkIdentity(id) != nil:
		return nil, fmt.Errorf("the authenticator returned an identity that no hub accepts: %w", checkIdentity(id))
	case id.Ended(time.Now()):
		return nil, fmt.Errorf("%w: the credentials of %q have expired", ErrUnauthenticated, id.ID)
	}
	return id, nil
}

// checkIdentity returns why no hub accepts the identity.
func checkIdentity(id *call.Identity) error {
	if id.ID == "" {
		return errors.New("the identity has no id")
	}
	return callcore.CheckIdentity(id.ID, id.Scopes, id.Resources)
}

// anonymous returns the same identity for every request.
func anonymous(*http.Request) (*call.Identity, error) { return &nobody, nil }

var nobody = call.Identity{ID: call.Anonymous}

const bearerProtocol = "hubspoke.bearer."

// BearerToken returns the token of a request: that of its Authorization header, or
// that of an offered subprotocol hubspoke.bearer.{base64url}. It is empty if
// there is none.
func BearerToken(r *http.Request) string {
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	for enc := range bearerOffers(r) {
		if b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(enc, "=")); err == nil {
			return string(b)
		}
	}
	return ""
}

// offersBearer reports whether the client offers a token as a subprotocol, readable or not.
func offersBearer(r *http.Request) bool {
	for range bearerOffers(r) {
		return true
	}
	return false
}

// bearerOffers yields the tokens that are offered as subprotocols, encoded.
func bearerOffers(r *http.Request) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
			for p := range strings.SplitSeq(line, ",") {
				if enc, ok := strings.CutPrefix(strings.TrimSpace(p), bearerProtocol); ok && !yield(enc) {
					return
				}
			}
		}
	}
}

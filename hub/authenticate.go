package hub

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/alkdev/hubspoke/call"
)

// Authenticator says who makes a request: a spoke that dials, or a client of the
// gateway. It may block, for example to ask a database; the request's context bounds
// it. An error is answered with 401, one that wraps [ErrForbidden] with 403; its
// text is logged and not sent. An identity with Expires is asked for anew when that has
// passed: its connection is closed with 4005, and the spoke comes back into its session with other credentials.
type Authenticator func(r *http.Request) (*call.Identity, error)

// What an [Authenticator] answers with.
var (
	// ErrUnauthenticated says that the credentials are missing or wrong.
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrForbidden says that who it is may not connect.
	ErrForbidden = errors.New("forbidden")
)

// anonymous gives everybody the same identity, as all of them are one.
func anonymous(*http.Request) (*call.Identity, error) { return &nobody, nil }

var nobody = call.Identity{ID: call.Anonymous}

// Token is a bearer token and whom it stands for.
type Token struct {
	// Secret is the token itself. An empty one lets nobody in.
	Secret string
	// Identity is who has it.
	Identity call.Identity
}

// BearerTokens authenticates by a fixed set of tokens, from the Authorization
// header or, for browsers, from the offered subprotocol (protocol section 1). Tokens
// are compared by their hash, so that the time taken tells nothing of them. One
// whose identity has expired lets nobody in.
func BearerTokens(tokens []Token) Authenticator {
	known := make(map[[sha256.Size]byte]*call.Identity, len(tokens))
	for _, t := range tokens {
		if t.Secret != "" {
			id := t.Identity
			known[sha256.Sum256([]byte(t.Secret))] = &id
		}
	}
	return func(r *http.Request) (*call.Identity, error) {
		id, ok := known[sha256.Sum256([]byte(BearerToken(r)))]
		if !ok || expired(id, time.Now()) {
			return nil, ErrUnauthenticated
		}
		return id, nil
	}
}

const bearerProtocol = "hubspoke.bearer."

// BearerToken gives the token of a request: that of its Authorization header, or
// that of an offered subprotocol hubspoke.bearer.{base64url}. It is empty where
// there is none.
func BearerToken(r *http.Request) string {
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(line, ",") {
			enc, ok := strings.CutPrefix(strings.TrimSpace(p), bearerProtocol)
			if !ok {
				continue
			}
			if b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(enc, "=")); err == nil {
				return string(b)
			}
		}
	}
	return ""
}

package hub

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/alkdev/hubspoke/call"
)

// Token is a bearer token and the identity of a client that presents it.
type Token struct {
	// Secret is the token itself.
	Secret string
	// Identity is the identity of a client that presents the token. Its ID is required. Its Revoked is set by the [TokenSet].
	Identity call.Identity
}

// TokenSet authenticates by bearer tokens that can be replaced while hubs run. Hubs and gateways use its method
// Authenticate; several may share it. Tokens are compared by their hash, so the time that a
// comparison takes reveals nothing about them. All methods may be called concurrently.
type TokenSet struct {
	mu    sync.RWMutex
	known map[[sha256.Size]byte]*knownToken // guarded by mu
}

type knownToken struct {
	identity call.Identity // Revoked is revoked
	revoked  chan struct{}
}

// NewTokenSet returns a set of these tokens. It returns nil and an error where [TokenSet.Replace] fails.
func NewTokenSet(tokens ...Token) (*TokenSet, error) {
	s := &TokenSet{}
	if err := s.Replace(tokens...); err != nil {
		return nil, err
	}
	return s, nil
}

// Replace replaces all tokens. Connections whose token is gone, or now has another identity, other
// scopes, other resources or another expiry, are closed with 4005 within a second, and event streams of a
// gateway end. The spoke may resume its session with a token of the same identity. Connections whose
// token is unchanged are not touched.
//
// An empty secret, one that cannot be sent in a header, an identity that is not valid (see [Hub.Accept]), and a secret that
// occurs twice with different identities are errors; the set is then unchanged.
func (s *TokenSet) Replace(tokens ...Token) error {
	next := make(map[[sha256.Size]byte]*knownToken, len(tokens))
	for i, t := range tokens {
		hash := sha256.Sum256([]byte(t.Secret))
		t.Identity.Revoked = nil
		switch same := next[hash]; {
		case t.Secret == "":
			return fmt.Errorf("%w: token %d has an empty secret", ErrOptions, i)
		case strings.TrimSpace(t.Secret) != t.Secret || strings.ContainsFunc(t.Secret, unicode.IsControl):
			return fmt.Errorf("%w: the secret of token %d begins or ends with white space or has a control character, which no client can send", ErrOptions, i)
		case checkIdentity(&t.Identity) != nil:
			return fmt.Errorf("%w: token %d: %w", ErrOptions, i, checkIdentity(&t.Identity))
		case same != nil && !same.standsFor(t.Identity):
			return fmt.Errorf("%w: token %d is the same as that of identity %q", ErrOptions, i, same.identity.ID)
		}
		k := &knownToken{identity: t.Identity, revoked: make(chan struct{})}
		k.identity.Revoked = k.revoked
		next[hash] = k
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for hash, old := range s.known {
		k := next[hash]
		if k != nil {
			id := k.identity
			id.Revoked = nil
			if old.standsFor(id) {
				next[hash] = old
				continue
			}
		}
		close(old.revoked)
	}
	s.known = next
	return nil
}

// standsFor reports whether the token's identity is id, whose Revoked is nil.
func (k *knownToken) standsFor(id call.Identity) bool {
	mine := k.identity
	mine.Revoked = nil
	sameTime := mine.Expires.Equal(id.Expires)
	mine.Expires = id.Expires
	return sameTime && reflect.DeepEqual(mine, id)
}

// Authenticate is an [Authenticator]. It looks at the Authorization header and, for clients that cannot set it, at
// the offered subprotocols (protocol section 1).
func (s *TokenSet) Authenticate(r *http.Request) (*call.Identity, error) {
	hash := sha256.Sum256([]byte(BearerToken(r)))
	s.mu.RLock()
	defer s.mu.RUnlock()
	k := s.known[hash]
	if k == nil || k.identity.Ended(time.Now()) {
		return nil, ErrUnauthenticated
	}
	return &k.identity, nil
}

// BearerTokens authenticates by a fixed set of tokens, as a [TokenSet] does. An empty secret lets no client
// in; of two tokens with the same secret the later one counts. An identity that is not valid, such as one without an ID, lets no
// client in either: the hub answers 503 and logs why. [NewTokenSet] returns an error for it.
func BearerTokens(tokens []Token) Authenticator {
	s := &TokenSet{known: make(map[[sha256.Size]byte]*knownToken, len(tokens))}
	for _, t := range tokens {
		if t.Secret != "" {
			s.known[sha256.Sum256([]byte(t.Secret))] = &knownToken{identity: t.Identity}
		}
	}
	return s.Authenticate
}

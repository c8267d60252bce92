package call

import (
	"slices"
	"time"
	"unicode/utf8"
)

// Identity is who makes a call. A hub takes it from the authenticated
// connection that a request came from and never from the request itself.
//
// An Identity is not changed once it has been handed over; it is safe to share.
type Identity struct {
	// ID names the identity, for example a user or a worker. It is required. Like all text in an identity it is UTF-8, and it has no
	// control characters; a hub accepts no other.
	ID string `json:"id"`
	// Scopes are what it may do, in the words of the program.
	Scopes []string `json:"scopes,omitempty"`
	// Resources lists, by the name of a resource, the actions that the identity may take there.
	Resources map[string][]string `json:"resources,omitempty"`
	// Expires is when the credentials that it was taken from are over; zero is
	// never. An authenticator sets it; it is not passed on with calls.
	Expires time.Time `json:"-"`
	// Revoked, if it is not nil, is closed when the credentials are revoked. The
	// authenticator sets it and closes it; it is not passed on with calls.
	Revoked <-chan struct{} `json:"-"`
}

// Ended reports whether the credentials have expired at now or have been revoked.
func (id *Identity) Ended(now time.Time) bool {
	if !id.Expires.IsZero() && !now.Before(id.Expires) {
		return true
	}
	if id.Revoked == nil {
		return false
	}
	select {
	case <-id.Revoked:
		return true
	default:
		return false
	}
}

// Anonymous is the ID that all clients of a hub have if its options allow anonymous clients.
const Anonymous = "anonymous"

// HasScope reports whether the identity holds the scope. It is false for nil.
func (id *Identity) HasScope(scope string) bool {
	return id != nil && slices.Contains(id.Scopes, scope)
}

// AccessControl is the rule for who may call an operation. All parts that are set must
// hold; the zero value lets every identity call.
type AccessControl struct {
	// RequiredScopes must all be held.
	RequiredScopes []string `json:"requiredScopes,omitempty"`
	// RequiredScopesAny, when not empty, asks for at least one of them.
	RequiredScopesAny []string `json:"requiredScopesAny,omitempty"`
	// ResourceType names the resource on which ResourceAction must be allowed:
	// Identity.Resources[ResourceType] must list it. Both are set, or neither.
	ResourceType   string `json:"resourceType,omitempty"`
	ResourceAction string `json:"resourceAction,omitempty"`
}

// valid reports whether all text in it is UTF-8.
func (a AccessControl) valid() bool {
	for _, s := range slices.Concat(a.RequiredScopes, a.RequiredScopesAny, []string{a.ResourceType, a.ResourceAction}) {
		if !utf8.ValidString(s) {
			return false
		}
	}
	return true
}

// IsZero reports whether every identity may call.
func (a AccessControl) IsZero() bool {
	return len(a.RequiredScopes) == 0 && len(a.RequiredScopesAny) == 0 &&
		a.ResourceType == "" && a.ResourceAction == ""
}

// Allows reports whether the identity satisfies the rules. A nil identity
// satisfies only the zero value.
func (a AccessControl) Allows(id *Identity) bool {
	if a.IsZero() {
		return true
	}
	if id == nil {
		return false
	}
	for _, s := range a.RequiredScopes {
		if !id.HasScope(s) {
			return false
		}
	}
	if len(a.RequiredScopesAny) > 0 && !slices.ContainsFunc(a.RequiredScopesAny, id.HasScope) {
		return false
	}
	if a.ResourceType != "" || a.ResourceAction != "" {
		return slices.Contains(id.Resources[a.ResourceType], a.ResourceAction)
	}
	return true
}

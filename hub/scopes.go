package hub

import (
	"strings"

	"github.com/alkdev/hubspoke/call"
)

// ScopeObserve is the scope that an identity needs to read a hub's statistics, also if the hub has no [Authorizer].
const ScopeObserve = "hub.observe"

// AuthorizeScopes gives an [Authorizer] that permits what a scope of the identity
// names: a [Verb], a colon, and a name, or the beginning of one with "*" behind it:
//
//	hold:worker-*      hold any spoke id that begins with worker-
//	serve:text.*       serve the operations of text
//	call:text.count    call this one operation
//	call:*             call every operation, the hub's own included
//	publish:session.*  publish on the topics that begin with session.
//	subscribe:hub.spoke.*  hear of the spokes that it may see
//	list:*             see every spoke
//
// "*" counts at the end only. What no scope names is refused, to everyone: also hub.info is
// called with a scope (call:hub.info). Scopes of another shape are passed over.
func AuthorizeScopes() Authorizer {
	return func(a Action) error {
		if a.Identity != nil {
			for _, scope := range a.Identity.Scopes {
				if scopePermits(scope, a.Verb, a.Name) {
					return nil
				}
			}
		}
		return missingScope{a.Identity, a.Verb, a.Name}
	}
}

func scopePermits(scope string, verb Verb, name string) bool {
	pattern, ok := strings.CutPrefix(scope, string(verb))
	if !ok || !strings.HasPrefix(pattern, ":") {
		return false
	}
	pattern = pattern[1:]
	if prefix, open := strings.CutSuffix(pattern, "*"); open {
		return strings.HasPrefix(name, prefix)
	}
	return name == pattern
}

// missingScope is made often, for lists, and told rarely.
type missingScope struct {
	identity *call.Identity
	verb     Verb
	name     string
}

func (e missingScope) Error() string {
	who := "nobody"
	if e.identity != nil {
		who = e.identity.ID
	}
	return who + " has no scope for " + string(e.verb) + ":" + e.name
}

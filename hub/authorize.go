package hub

import (
	"fmt"
	"runtime/debug"

	"github.com/alkdev/hubspoke/call"
)

// Verb is what somebody wants to do.
type Verb string

// The verbs. Name is in brackets.
const (
	Hold      Verb = "hold"      // hold this spoke id (id)
	Serve     Verb = "serve"     // serve this operation (operation)
	Call      Verb = "call"      // call this operation (operation), besides its access rules
	Publish   Verb = "publish"   // publish on this topic (topic)
	Subscribe Verb = "subscribe" // subscribe to this topic (topic)
	List      Verb = "list"      // see that this spoke is there (id)
)

// Action is something that an identity wants to do.
type Action struct {
	Identity *call.Identity
	Verb     Verb
	Name     string
}

// Authorizer permits an action by returning nil; the text of its error is sent to the identity that
// asked. It is called once for each call, registration, publication and subscription, on goroutines that
// must not wait: it must not do I/O, nor block. It may run on many goroutines at the same time. If it
// panics, the action is refused with EXECUTION_ERROR.
type Authorizer func(Action) error

// allow asks the authorizer. A nil identity is the embedding program itself,
// which may everything. It is asked on readers too, where a panic would end the program.
func (h *Hub) allow(id *call.Identity, verb Verb, name string) (refused *call.Error) {
	if h.opts.Authorize == nil || id == nil {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			h.counters.Panics.Add(1)
			h.log.Error().Str("verb", string(verb)).Str("name", name).Str("identity", id.ID).
				Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Msg("authorizer panicked; refused")
			refused = &call.Error{Code: call.CodeExecution, Message: "the authorizer panicked"}
		}
	}()
	if err := h.opts.Authorize(Action{id, verb, name}); err != nil {
		return &call.Error{Code: call.CodeAccessDenied, Message: err.Error(), Cause: err}
	}
	return nil
}

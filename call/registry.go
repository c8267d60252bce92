package call

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/alkdev/hubspoke/internal/callcore"
)

var (
	// ErrDuplicateOperation is wrapped by the error of [Registry.Register] if the name is registered already.
	ErrDuplicateOperation = callcore.ErrDuplicateOperation
	// ErrRegistryFull is wrapped by the error of [Registry.Register] if the hub would not accept another operation.
	ErrRegistryFull = callcore.ErrRegistryFull
)

// Registry holds the operations that a program serves. The zero value is empty
// and ready. All methods may be called concurrently; operations may be added and removed
// while calls run.
type Registry callcore.Registry[Operation, Handler]

func (r *Registry) core() *callcore.Registry[Operation, Handler] {
	return (*callcore.Registry[Operation, Handler])(r)
}

// Register adds an operation, whose handler is h inside the interceptors, the first outermost. [Handle] and
// [HandleStream] register typed handlers. The registry keeps a copy of op; slices and schemas are shared. A Type of op that is
// empty is [Query].
//
// The error wraps [ErrInvalidOperation], [ErrDuplicateOperation], or, if the hub would not accept a
// registration that contains the operation, [ErrRegistryFull].
func (r *Registry) Register(op Operation, h Handler, interceptors ...Interceptor) error {
	if op.Type == "" {
		op.Type = Query
	}
	if err := op.Validate(); err != nil {
		return err
	}
	if h == nil {
		return invalid(op.Name, "no handler")
	}
	text, err := json.Marshal(op)
	if err != nil {
		return fmt.Errorf("%w %q: %w", ErrInvalidOperation, op.Name, err)
	}
	return r.core().Add(op.Name, op, callcore.Chain(h, interceptors), len(text)+len(","))
}

// Remove removes an operation and reports whether it was registered. Calls that are
// running continue.
func (r *Registry) Remove(name string) bool { return r.core().Remove(name) }

// Use puts interceptors around every handler of the registry, also those that are registered already.
// The interceptors of an earlier call are outside those of a later one, and are called again for the handlers that
// are registered already; see [Interceptor].
func (r *Registry) Use(interceptors ...Interceptor) {
	all := make([]func(Handler) Handler, 0, len(interceptors))
	for _, i := range interceptors {
		all = append(all, i)
	}
	r.core().Use(all...)
}

// Lookup returns an operation and its handler inside all interceptors.
func (r *Registry) Lookup(name string) (Operation, Handler, bool) { return r.core().Lookup(name) }

// Operations returns the descriptions, sorted by name. The slice is the
// caller's.
func (r *Registry) Operations() []Operation {
	all := r.core().Operations()
	slices.SortFunc(all, func(a, b Operation) int { return strings.Compare(a.Name, b.Name) })
	return all
}

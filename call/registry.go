package call

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// ErrDuplicateOperation is what [Registry.Register] wraps when the name is taken.
var ErrDuplicateOperation = errors.New("operation is registered already")

// ErrRegistryFull is wrapped by the error of [Registry.Register] if the hub would not accept another operation.
var ErrRegistryFull = errors.New("the registration is full")

// Registry holds the operations that a program serves. The zero value is empty
// and ready. All methods may be called concurrently; operations may come and go
// while calls run.
type Registry struct {
	mu           sync.RWMutex // guards the fields below
	ops          map[string]served
	interceptors []Interceptor
	changed      chan struct{}
	bytes        int // of the JSON of all descriptions
	check        func(op Operation, operations, bytes int) error
}

type served struct {
	op      Operation
	handler Handler
	bytes   int
}

// Check sets a function that [Registry.Register] calls before it adds op. Its arguments are the number of
// operations and the size of the JSON of their descriptions, in bytes, both including op. If it returns
// an error, Register does not add op and returns the error. It is called with the registry locked and
// must not use it. Nil, the default, allows every operation. Check is for frameworks whose peers limit
// what can be announced.
func (r *Registry) Check(check func(op Operation, operations, bytes int) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.check = check
}

// Bytes returns the size of the JSON of all descriptions in bytes, as [Registry.Check] counts it.
func (r *Registry) Bytes() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.bytes
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
		return fmt.Errorf("%w %q: no handler", ErrInvalidOperation, op.Name)
	}
	h = chain(h, interceptors)
	text, err := json.Marshal(op)
	if err != nil {
		return fmt.Errorf("%w %q: %w", ErrInvalidOperation, op.Name, err)
	}
	size := len(text) + len(",")
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.ops[op.Name]; ok {
		return fmt.Errorf("%w: %q", ErrDuplicateOperation, op.Name)
	}
	if r.ops == nil {
		r.ops = make(map[string]served)
	}
	if r.check != nil {
		if err := r.check(op, len(r.ops)+1, r.bytes+size); err != nil {
			return err
		}
	}
	r.ops[op.Name] = served{op, h, size}
	r.bytes += size
	r.changedLocked()
	return nil
}

// Remove takes an operation out and reports whether it was there. Calls that run
// go on.
func (r *Registry) Remove(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.ops[name]; !ok {
		return false
	}
	r.bytes -= r.ops[name].bytes
	delete(r.ops, name)
	r.changedLocked()
	return true
}

// Use puts interceptors around every handler of the registry, those that are
// there and those to come. What was used first is outermost.
func (r *Registry) Use(interceptors ...Interceptor) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.interceptors = append(slices.Clip(r.interceptors), interceptors...)
}

// Lookup gives an operation and its handler with all interceptors around it.
func (r *Registry) Lookup(name string) (Operation, Handler, bool) {
	r.mu.RLock()
	s, ok := r.ops[name]
	ics := r.interceptors
	r.mu.RUnlock()
	if !ok {
		return Operation{}, nil, false
	}
	return s.op, chain(s.handler, ics), true
}

// Has reports whether an operation of the name is there.
func (r *Registry) Has(name string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, ok := r.ops[name]
	return ok
}

// Operations gives the descriptions, sorted by name. The slice is the caller's.
func (r *Registry) Operations() []Operation {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := make([]Operation, 0, len(r.ops))
	for _, s := range slices.SortedFunc(maps.Values(r.ops), func(a, b served) int {
		return strings.Compare(a.op.Name, b.op.Name)
	}) {
		out = append(out, s.op)
	}
	return out
}

// Changed gives a channel that is closed at the next change of the set.
func (r *Registry) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return r.changed
}

func (r *Registry) changedLocked() {
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

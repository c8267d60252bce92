package callcore

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// The errors of package call that [Registry.Add] wraps.
var (
	ErrDuplicateOperation = errors.New("operation is registered already")
	ErrInvalidOperation   = errors.New("invalid operation")
	ErrRegistryFull       = errors.New("the registration is full")
)

// Registry is the type behind call.Registry, which is converted to it by the packages that need more than programs do:
//
//	(*callcore.Registry[call.Operation, call.Handler])(r)
//
// Op is call.Operation and H call.Handler. The zero value is empty. All methods may be called concurrently.
type Registry[Op, H any] struct {
	mu           sync.RWMutex // guards the fields below
	entries      map[string]entry[Op, H]
	interceptors []func(H) H
	changed      chan struct{}
	bytes        int // of the JSON of all descriptions
	limits       Limits
}

type entry[Op, H any] struct {
	op      Op
	own     H        // inside no interceptor of the registry
	handler func() H // own inside all of them; they are called once, by the first call of handler
	bytes   int
}

// Limits are what the other side accepts in a registration. Zero fields are no limit.
type Limits struct {
	Operations int
	Bytes      int    // of the JSON of all descriptions
	Reserved   string // begins the names of operations that are the hub's
}

// SetLimits sets the limits for operations that are added from now on.
func (r *Registry[Op, H]) SetLimits(l Limits) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limits = l
}

// Add adds an operation whose description is JSON of so many bytes.
func (r *Registry[Op, H]) Add(name string, op Op, h H, bytes int) error {
	handler, err := r.add(name, op, h, bytes)
	if err == nil {
		handler() // without the lock, since it calls the interceptors
	}
	return err
}

func (r *Registry[Op, H]) add(name string, op Op, h H, bytes int) (handler func() H, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.entries[name]; ok {
		return nil, fmt.Errorf("%w: %q", ErrDuplicateOperation, name)
	}
	if err := r.checkLocked(name, bytes); err != nil {
		return nil, err
	}
	if r.entries == nil {
		r.entries = make(map[string]entry[Op, H])
	}
	handler = r.interceptedLocked(h)
	r.entries[name] = entry[Op, H]{op, h, handler, bytes}
	r.bytes += bytes
	r.changedLocked()
	return handler, nil
}

// interceptedLocked returns a function that returns h inside the interceptors that the registry has now.
func (r *Registry[Op, H]) interceptedLocked(h H) func() H {
	interceptors := r.interceptors
	return sync.OnceValue(func() H { return Chain(h, interceptors) })
}

// Chain returns h inside the interceptors, the first outermost. Nil interceptors are ignored.
func Chain[H any, I ~func(H) H](h H, interceptors []I) H {
	for _, i := range slices.Backward(interceptors) {
		if i != nil {
			h = i(h)
		}
	}
	return h
}

// checkLocked refuses an operation with which the hub would not accept the registration: neither now nor
// after the next reconnect, when it would refuse the spoke with it.
func (r *Registry[Op, H]) checkLocked(name string, bytes int) error {
	l := r.limits
	bytes += r.bytes
	switch {
	case l.Reserved != "" && strings.HasPrefix(name, l.Reserved):
		return fmt.Errorf("%w %q: names that begin with %s are the hub's", ErrInvalidOperation, name, l.Reserved)
	case l.Operations > 0 && len(r.entries) >= l.Operations:
		return fmt.Errorf("%w: operation %q is one over the limit of %d (hub.Options.MaxOperations)", ErrRegistryFull, name, l.Operations)
	case l.Bytes > 0 && bytes > l.Bytes:
		return fmt.Errorf("%w: with operation %q the descriptions have %d bytes; the limit is %d (hub.Options.MaxRegistrationBytes, less the rest of the registration)",
			ErrRegistryFull, name, bytes, l.Bytes)
	}
	return nil
}

// Remove removes an operation and reports whether it was registered.
func (r *Registry[Op, H]) Remove(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.entries[name]
	if !ok {
		return false
	}
	r.bytes -= e.bytes
	delete(r.entries, name)
	r.changedLocked()
	return true
}

// Use adds interceptors inside those that are there, for all handlers.
func (r *Registry[Op, H]) Use(interceptors ...func(H) H) {
	for _, handler := range r.use(interceptors) {
		handler() // without the lock, since it calls the interceptors
	}
}

func (r *Registry[Op, H]) use(interceptors []func(H) H) (handlers []func() H) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.interceptors = append(slices.Clip(r.interceptors), interceptors...)
	for name, e := range r.entries {
		e.handler = r.interceptedLocked(e.own)
		r.entries[name] = e
		handlers = append(handlers, e.handler)
	}
	return handlers
}

// Lookup returns an operation and its handler inside all interceptors.
func (r *Registry[Op, H]) Lookup(name string) (op Op, h H, ok bool) {
	r.mu.RLock()
	e, ok := r.entries[name]
	r.mu.RUnlock()
	if ok {
		h = e.handler()
	}
	return e.op, h, ok
}

// Operations returns the operations in no order.
func (r *Registry[Op, H]) Operations() []Op {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := make([]Op, 0, len(r.entries))
	for _, e := range r.entries {
		all = append(all, e.op)
	}
	return all
}

// Bytes returns the size of the JSON of all descriptions.
func (r *Registry[Op, H]) Bytes() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.bytes
}

// Changed returns a channel that is closed when the set of operations changes next.
func (r *Registry[Op, H]) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return r.changed
}

func (r *Registry[Op, H]) changedLocked() {
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

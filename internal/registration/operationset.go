package registration

import (
	"crypto/sha256"
	"runtime"
	"sync"
	"weak"

	"github.com/alkdev/hubspoke/call"
)

// OperationSet holds the operations that a registration names. It is never changed, so that
// all who name the same can share one.
type OperationSet struct {
	Operations []call.Operation
	ByName     map[string]call.Operation
}

// noOperations is the set of a registration without operations.
var noOperations = new(OperationSet)

// OperationSets shares equal sets among registrations: many spokes run the same program.
// It finds them by the hash of their JSON, and keeps none in memory by itself. The zero value is ready.
type OperationSets struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]weak.Pointer[OperationSet] // guarded by mu
}

// parse reads the operations of a registration. On a nil OperationSets nothing is shared.
func (o *OperationSets) parse(raw []byte) (*OperationSet, error) {
	if o == nil {
		return parseSet(raw)
	}
	key := sha256.Sum256(raw)
	if f := o.find(key); f != nil {
		return f, nil
	}
	f, err := parseSet(raw)
	if err != nil {
		return nil, err
	}
	return o.keep(key, f), nil
}

func (o *OperationSets) find(key [sha256.Size]byte) *OperationSet {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.known[key].Value()
}

// keep makes f known, and returns it or the one that another registration has made known first.
func (o *OperationSets) keep(key [sha256.Size]byte, f *OperationSet) *OperationSet {
	o.mu.Lock()
	defer o.mu.Unlock()
	if first := o.known[key].Value(); first != nil {
		return first
	}
	if o.known == nil {
		o.known = make(map[[sha256.Size]byte]weak.Pointer[OperationSet])
	}
	o.known[key] = weak.Make(f)
	runtime.AddCleanup(f, o.forget, key)
	return f
}

// forget follows the collection of a set; a newer one may have its place.
func (o *OperationSets) forget(key [sha256.Size]byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.known[key].Value() == nil {
		delete(o.known, key)
	}
}

func parseSet(raw []byte) (*OperationSet, error) {
	list, err := parseOperations(raw)
	if err != nil {
		return nil, err
	}
	f := &OperationSet{Operations: list, ByName: make(map[string]call.Operation, len(list))}
	for _, op := range list {
		f.ByName[op.Name] = op
	}
	return f, nil
}

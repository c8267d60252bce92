package peer

import (
	"crypto/sha256"
	"runtime"
	"sync"
	"weak"

	"github.com/alkdev/hubspoke/call"
)

// Offer is the operations that a registration names. It is never changed, so that
// all who name the same can share one.
type Offer struct {
	Operations []call.Operation
	ByName     map[string]call.Operation
}

// Offers shares equal offers among registrations: many spokes run the same program.
// It knows them by the hash of their JSON, and holds none that nobody else holds. The zero value is ready.
type Offers struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]weak.Pointer[Offer] // guarded by mu
}

// parse reads the operations of a registration. On a nil Offers nothing is shared.
func (o *Offers) parse(raw []byte) (*Offer, error) {
	if o == nil {
		return parseOffer(raw)
	}
	key := sha256.Sum256(raw)
	if f := o.find(key); f != nil {
		return f, nil
	}
	f, err := parseOffer(raw)
	if err != nil {
		return nil, err
	}
	return o.keep(key, f), nil
}

func (o *Offers) find(key [sha256.Size]byte) *Offer {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.known[key].Value()
}

// keep makes f known, unless another was quicker, which it then gives.
func (o *Offers) keep(key [sha256.Size]byte, f *Offer) *Offer {
	o.mu.Lock()
	defer o.mu.Unlock()
	if first := o.known[key].Value(); first != nil {
		return first
	}
	if o.known == nil {
		o.known = make(map[[sha256.Size]byte]weak.Pointer[Offer])
	}
	o.known[key] = weak.Make(f)
	runtime.AddCleanup(f, o.forget, key)
	return f
}

// forget follows the collection of an offer; a newer one may have its place.
func (o *Offers) forget(key [sha256.Size]byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.known[key].Value() == nil {
		delete(o.known, key)
	}
}

func parseOffer(raw []byte) (*Offer, error) {
	list, err := parseOperations(raw)
	if err != nil {
		return nil, err
	}
	f := &Offer{Operations: list, ByName: make(map[string]call.Operation, len(list))}
	for _, op := range list {
		f.ByName[op.Name] = op
	}
	return f, nil
}

package hub

import (
	"context"
	"sync"
	"time"
)

// Record says where a spoke is.
type Record struct {
	SpokeID    string
	HubID      string
	Generation int64
	// IdentityID is who holds the spoke id.
	IdentityID string
}

// Directory says which hub holds a spoke and which hubs serve an operation. All
// methods may be called concurrently; ctx bounds them.
type Directory interface {
	// Claim records that the hub rec.HubID holds the spoke from now on and gives
	// the registration its generation, higher than any before it for that id
	// (rec.Generation is not looked at).
	Claim(ctx context.Context, rec Record) (generation int64, err error)
	// Release removes the record if its generation is still the one given;
	// otherwise it does nothing.
	Release(ctx context.Context, spokeID string, generation int64) error
	// Spoke gives the record of a spoke, and whether there is one.
	Spoke(ctx context.Context, spokeID string) (Record, bool, error)
	// Provide and Withdraw say that a hub has its first, or lost its last,
	// provider of an operation. Both are idempotent.
	Provide(ctx context.Context, hubID, operation string) error
	Withdraw(ctx context.Context, hubID, operation string) error
	// Providers gives the ids of the hubs that serve the operation.
	Providers(ctx context.Context, operation string) ([]string, error)
}

// MemoryDirectory is the Directory of hubs in one process. The zero value is
// empty and ready; it never fails.
type MemoryDirectory struct {
	mu         sync.Mutex // guards the fields below
	records    map[string]Record
	generation int64 // the highest that was given; the clock may stand still
	providers  map[string]map[string]struct{}
}

var _ Directory = (*MemoryDirectory)(nil)

// Claim implements [Directory]. A generation is the larger of the last one + 1
// and the clock in milliseconds, as in the shared directory, so that a hub that changes over
// keeps them rising.
func (d *MemoryDirectory) Claim(_ context.Context, rec Record) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.records == nil {
		d.records = make(map[string]Record)
	}
	d.generation = max(d.generation+1, time.Now().UnixMilli())
	rec.Generation = d.generation
	d.records[rec.SpokeID] = rec
	return rec.Generation, nil
}

// Release implements [Directory].
func (d *MemoryDirectory) Release(_ context.Context, spokeID string, generation int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.records[spokeID].Generation == generation {
		delete(d.records, spokeID)
	}
	return nil
}

// Spoke implements [Directory].
func (d *MemoryDirectory) Spoke(_ context.Context, spokeID string) (Record, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, ok := d.records[spokeID]
	return r, ok, nil
}

// Provide implements [Directory].
func (d *MemoryDirectory) Provide(_ context.Context, hubID, operation string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.providers == nil {
		d.providers = make(map[string]map[string]struct{})
	}
	if d.providers[operation] == nil {
		d.providers[operation] = make(map[string]struct{})
	}
	d.providers[operation][hubID] = struct{}{}
	return nil
}

// Withdraw implements [Directory].
func (d *MemoryDirectory) Withdraw(_ context.Context, hubID, operation string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.providers[operation], hubID)
	if len(d.providers[operation]) == 0 {
		delete(d.providers, operation)
	}
	return nil
}

// Providers implements [Directory].
func (d *MemoryDirectory) Providers(_ context.Context, operation string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids := make([]string, 0, len(d.providers[operation]))
	for id := range d.providers[operation] {
		ids = append(ids, id)
	}
	return ids, nil
}

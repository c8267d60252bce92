package hub

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// MemoryDirectory is the Directory of hubs in one process. The zero value is
// empty and ready.
type MemoryDirectory struct {
	mu         sync.Mutex // guards the fields below
	hubs       map[string]*memoryHub
	records    map[string]*Record
	generation int64 // the highest that was given; the clock may stand still
	providers  map[string]map[string]struct{}
}

type memoryHub struct {
	lost func(Record)
	wg   sync.WaitGroup // calls of lost
}

var _ Directory = (*MemoryDirectory)(nil)

// Join implements [Directory].
func (d *MemoryDirectory) Join(_ context.Context, hubID string, lost func(Record)) (func(context.Context), error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hubs[hubID] != nil {
		return nil, ErrHubIDInUse
	}
	if d.hubs == nil {
		d.hubs = make(map[string]*memoryHub)
		d.records = make(map[string]*Record)
		d.providers = make(map[string]map[string]struct{})
	}
	m := &memoryHub{lost: lost}
	d.hubs[hubID] = m
	return func(context.Context) { d.leave(hubID, m) }, nil
}

func (d *MemoryDirectory) leave(hubID string, m *memoryHub) {
	d.mu.Lock()
	if d.hubs[hubID] == m {
		delete(d.hubs, hubID)
		maps.DeleteFunc(d.records, func(_ string, r *Record) bool { return r.HubID == hubID })
		for op := range d.providers {
			d.withdrawLocked(hubID, op)
		}
	}
	d.mu.Unlock()
	m.wg.Wait()
}

// Claim implements [Directory]. A generation is the larger of the last one + 1
// and the clock in milliseconds, as in the shared directory, so that a hub that changes over
// keeps them rising.
func (d *MemoryDirectory) Claim(_ context.Context, rec Record) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var old Record
	held := d.records[rec.SpokeID]
	if held != nil {
		old = *held
	}
	elsewhere := held != nil && old.HubID != rec.HubID
	switch {
	case elsewhere && old.IdentityID != rec.IdentityID:
		return 0, ErrHeld
	case elsewhere && rec.InstanceID != "" && old.InstanceID == rec.InstanceID && rec.Attempt <= old.Attempt:
		return 0, ErrSuperseded
	}
	d.generation = max(d.generation+1, time.Now().UnixMilli())
	rec.Generation = d.generation
	if d.records == nil {
		d.records = make(map[string]*Record)
	}
	d.records[rec.SpokeID] = &rec
	if m := d.hubs[old.HubID]; elsewhere && m != nil {
		m.wg.Go(func() { m.lost(rec) })
	}
	return rec.Generation, nil
}

// Release implements [Directory].
func (d *MemoryDirectory) Release(_ context.Context, hubID, spokeID string, generation int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := d.records[spokeID]; r != nil && r.Generation == generation && r.HubID == hubID {
		delete(d.records, spokeID)
	}
	return nil
}

// Spoke implements [Directory].
func (d *MemoryDirectory) Spoke(_ context.Context, spokeID string) (Record, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := d.records[spokeID]; r != nil {
		return *r, true, nil
	}
	return Record{}, false, nil
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
	d.withdrawLocked(hubID, operation)
	return nil
}

func (d *MemoryDirectory) withdrawLocked(hubID, operation string) {
	delete(d.providers[operation], hubID)
	if len(d.providers[operation]) == 0 {
		delete(d.providers, operation)
	}
}

// Providers implements [Directory].
func (d *MemoryDirectory) Providers(_ context.Context, operation string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.providers[operation])), nil
}

// Hubs implements [Directory].
func (d *MemoryDirectory) Hubs(context.Context) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.hubs)), nil
}

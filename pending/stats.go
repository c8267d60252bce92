package pending

// Stats counts what a Map has seen.
type Stats struct {
	InFlight int    // requests now
	Unknown  uint64 // arrivals for no request, or for one whose caller had left
	Overruns uint64 // streams that failed with ErrOverrun
}

// Stats gives the counts of this moment.
func (m *Map) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Stats{InFlight: len(m.requests), Unknown: m.unknown, Overruns: m.overruns}
}

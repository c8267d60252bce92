package redistarget

import "sync/atomic"

// Stats counts since New. All numbers only grow, but Topics, Links and Queued.
type Stats struct {
	Published  uint64 // events that Redis took
	Failed     uint64 // events that it refused, or of which nobody knows
	LocalOnly  uint64 // events delivered in this process only, the link being down
	Refused    uint64 // events refused for Options.MaxQueueBytes
	Received   uint64 // messages from Redis, on topics
	Invalid    uint64 // of those, those that did not parse: gaps of one
	Dropped    uint64 // of those, dropped for Options.MaxQueueBytes
	Gaps       uint64 // gaps told, one for each topic
	Lost       uint64 // links lost
	Reconnects uint64 // links made again
	Probes     uint64 // probes begun
	Deaf       uint64 // probes that were not heard

	Topics int // topics with a listener, or still subscribed to
	Links  int // subscription connections, or attempts at one
	Queued int // bytes that wait to be delivered
}

type counters struct {
	published, failed, localOnly, refused atomic.Uint64
	received, invalid, dropped, gaps      atomic.Uint64
	lost, reconnects, probes, deaf        atomic.Uint64
}

// Stats returns the counts. They are read one after the other.
func (t *Target) Stats() Stats {
	c := &t.counters
	s := Stats{
		Published: c.published.Load(), Failed: c.failed.Load(), LocalOnly: c.localOnly.Load(), Refused: c.refused.Load(),
		Received: c.received.Load(), Invalid: c.invalid.Load(), Dropped: c.dropped.Load(), Gaps: c.gaps.Load(),
		Lost: c.lost.Load(), Reconnects: c.reconnects.Load(), Probes: c.probes.Load(), Deaf: c.deaf.Load(),
		Queued: t.inbox.queued(),
	}
	t.mu.Lock()
	s.Topics, s.Links = len(t.topics), len(t.links)
	t.mu.Unlock()
	return s
}

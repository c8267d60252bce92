package hub

// Stats counts what a hub has seen since it began, and what it holds now.
type Stats struct {
	HubID       string `json:"hubId"`
	Spokes      int    `json:"spokes"`      // that hold an id now: registered, or claiming it
	Waiting     int    `json:"waiting"`     // of these, whose session waits for a connection
	Resumed     uint64 `json:"resumed"`     // sessions that went on with another connection
	Connections int    `json:"connections"` // registered or about to be
	Refused     uint64 `json:"refused"`     // connections that did not register
	RateLimited uint64 `json:"rateLimited"` // connections closed since they sent too much
	Operations  int    `json:"operations"`  // served by spokes now
	Topics      int    `json:"topics"`      // with a subscriber among the spokes
	InFlight    int    `json:"inFlight"`    // calls that spokes answer now
	Serving     int    `json:"serving"`     // calls of spokes that are served now, also of those that have left
	QueuedBytes int    `json:"queuedBytes"` // waiting for spokes to read

	Frames        uint64 `json:"frames"`        // received
	Calls         uint64 `json:"calls"`         // sent to spokes
	Served        uint64 `json:"served"`        // received from spokes, or made here to the hub's own operations
	Overloaded    uint64 `json:"overloaded"`    // received over maxInFlight
	Published     uint64 `json:"published"`     // events
	EventsDropped uint64 `json:"eventsDropped"` // for slow readers
	Malformed     uint64 `json:"malformed"`     // payloads that the protocol does not know
	Unknown       uint64 `json:"unknown"`       // reserved types that the protocol does not know
	Late          uint64 `json:"late"`          // answers for no call in flight
	Duplicates    uint64 `json:"duplicates"`    // requests under an id in flight
	SlowStreams   uint64 `json:"slowStreams"`   // streams that ended with SLOW_CONSUMER
	Panics        uint64 `json:"panics"`        // handlers, listeners and authorizers of the hub that panicked
	Draining      bool   `json:"draining"`
}

// Stats returns the current counts. Its cost does not depend on the number of spokes; [Hub.SpokePage] lists the
// spokes.
func (h *Hub) Stats() Stats {
	k := &h.counters
	return Stats{
		HubID: h.opts.ID, Connections: int(h.connections.Load()), Refused: h.refused.Load(), RateLimited: h.rateLimited.Load(),
		Spokes: h.table.len(), Operations: h.table.operationsNow(), Topics: h.fanout.Topics(),
		InFlight: int(h.calls.InFlight.Load()), Serving: int(h.calls.Serving.Load()),
		QueuedBytes: int(h.queues.QueuedBytes.Load()), EventsDropped: h.queues.EventsDropped.Load(),
		Frames: k.Frames.Load(), Calls: k.Calls.Load(), Served: k.Served.Load(), Overloaded: k.Overloaded.Load(),
		Published: h.published.Load(), Malformed: k.Malformed.Load(), Unknown: k.Unknown.Load(), Late: k.Late.Load(),
		Duplicates: k.Duplicates.Load(), SlowStreams: k.SlowStreams.Load(), Panics: k.Panics.Load(),
		Draining: h.draining.Load(), Waiting: h.table.waitingNow(), Resumed: h.resumed.Load(),
	}
}

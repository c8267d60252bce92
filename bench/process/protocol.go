package process

import (
	"time"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/measure"
)

// What a server can be told.
const (
	doStart   = "start"
	doPublish = "publish"
	doStats   = "stats"
	doCalls   = "calls"
	doStop    = "stop"
)

// command is one line to the server. Besides Do only the fields of that command are set.
type command struct {
	Do string `json:"do"`

	Contender string          `json:"contender,omitzero"`
	Setup     contender.Setup `json:"setup,omitzero"`

	First    uint64 `json:"first,omitzero"`
	Messages int    `json:"messages,omitzero"`
	Bytes    int    `json:"bytes,omitzero"`

	Collect bool    `json:"collect,omitzero"`
	Calls   CallRun `json:"calls,omitzero"`
}

// answer is one line from the server.
type answer struct {
	Error string      `json:"error,omitzero"`
	Addr  string      `json:"addr,omitzero"`
	Stats Stats       `json:"stats,omitzero"`
	Calls CallFigures `json:"calls,omitzero"`
}

// CallRun are calls from the server to its clients.
type CallRun struct {
	// Clients are called in turn, numbers 0 to Clients-1, InFlight calls at a time.
	Clients, InFlight int
	// Bytes is the length of each payload.
	Bytes int
	// Duration is how long calls are started; those in flight then are waited for. AtLeast is how many there are
	// also when that takes longer.
	Duration time.Duration
	AtLeast  int
}

// CallFigures are what a CallRun came to.
type CallFigures struct {
	Calls    int
	Elapsed  time.Duration
	P50, P99 time.Duration
	// Used is what the server used meanwhile.
	Used measure.Usage
}

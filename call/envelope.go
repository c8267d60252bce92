package call

import (
	"encoding/json"
	"time"

	"github.com/alkdev/hubspoke/internal/wire"
)

// Envelope is what a call answers with: the value and where it came from
// (protocol section 3, `output`). A handler that returns a plain value need not
// know it; one that returns an Envelope has it sent as it is.
type Envelope struct {
	// Data is the value as JSON; nil means null.
	Data json.RawMessage
	// Meta is a JSON object with at least `source`; nil in a bare value.
	Meta json.RawMessage
}

// Source returns where the value came from: "local", "http", "mcp", or "" for a bare value.
func (e Envelope) Source() string { return wire.Source(e.Meta) }

// MarshalJSON returns the envelope as it is on the wire. Without a Meta the source is "local".
func (e Envelope) MarshalJSON() ([]byte, error) {
	meta := e.Meta
	if len(meta) == 0 {
		meta = json.RawMessage(`{"source":"local"}`)
	}
	return wire.AppendEnvelope(make([]byte, 0, len(e.Data)+len(meta)+24), e.Data, meta, "", time.Time{}), nil
}

// UnmarshalJSON reads an `output`. A value that is not an envelope, also one that names
// data or meta twice, becomes Data as a whole.
func (e *Envelope) UnmarshalJSON(b []byte) error {
	e.Data, e.Meta = wire.ParseEnvelope(append([]byte(nil), b...))
	return nil
}

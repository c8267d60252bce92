package call

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/alkdev/hubspoke/internal/jsonscan"
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

// Local makes the envelope of a value that a handler of this program computed.
func Local(operation string, data json.RawMessage, at time.Time) Envelope {
	meta := make([]byte, 0, 64+len(operation))
	return Envelope{Data: data, Meta: appendLocalMeta(meta, operation, at)}
}

func appendLocalMeta(dst []byte, operation string, at time.Time) []byte {
	dst = append(dst, `{"source":"local","operationId":`...)
	dst = jsonscan.AppendString(dst, operation)
	dst = append(dst, `,"timestamp":`...)
	dst = strconv.AppendInt(dst, at.UnixMilli(), 10)
	return append(dst, '}')
}

// AppendLocal appends, as it stands on the wire, the envelope that [Local] makes,
// or e itself where it has a Meta of its own. Data and Meta must be JSON.
func AppendLocal(dst []byte, operation string, e Envelope, at time.Time) []byte {
	if len(e.Meta) > 0 {
		return AppendEnvelope(dst, e)
	}
	dst = append(dst, `{"data":`...)
	dst = appendRaw(dst, e.Data, "null")
	dst = append(dst, `,"meta":`...)
	return append(appendLocalMeta(dst, operation, at), '}')
}

// AppendEnvelope appends the envelope as it stands on the wire. Data and Meta
// must be JSON.
func AppendEnvelope(dst []byte, e Envelope) []byte {
	dst = append(dst, `{"data":`...)
	dst = appendRaw(dst, e.Data, "null")
	dst = append(dst, `,"meta":`...)
	dst = appendRaw(dst, e.Meta, `{"source":"local"}`)
	return append(dst, '}')
}

func appendRaw(dst []byte, raw json.RawMessage, absent string) []byte {
	if len(raw) == 0 {
		return append(dst, absent...)
	}
	return append(dst, raw...)
}

// ParseEnvelope reads an `output`. A value that is not an envelope, also one that names
// data or meta twice, is taken as Data as it is. The parts alias output, which must be valid JSON.
func ParseEnvelope(output json.RawMessage) Envelope {
	bare := Envelope{Data: output}
	if jsonscan.Kind(output) != '{' {
		return bare
	}
	var e Envelope
	o := jsonscan.OpenValid(output)
	twice := false
	for o.Next() {
		switch string(o.Name()) {
		case "data":
			twice = twice || e.Data != nil
			e.Data = o.Value()
		case "meta":
			twice = twice || e.Meta != nil
			e.Meta = o.Value()
		}
	}
	if o.Err() != nil || twice || e.Data == nil || e.Meta == nil || e.Source() == "" {
		return bare
	}
	return e
}

// Source says where the value came from: "local", "http", "mcp", or "" for a bare value.
func (e Envelope) Source() string {
	if jsonscan.Kind(e.Meta) != '{' {
		return ""
	}
	o := jsonscan.OpenValid(e.Meta)
	for o.Next() {
		if string(o.Name()) != "source" {
			continue
		}
		switch string(o.Value()) { // the sources of the protocol are not allocated
		case `"local"`:
			return "local"
		case `"http"`:
			return "http"
		case `"mcp"`:
			return "mcp"
		}
		s, _ := jsonscan.String(o.Value())
		return s
	}
	return ""
}

// MarshalJSON gives the envelope as it stands on the wire.
func (e Envelope) MarshalJSON() ([]byte, error) {
	return AppendEnvelope(make([]byte, 0, len(e.Data)+len(e.Meta)+24), e), nil
}

// UnmarshalJSON reads an `output`; see [ParseEnvelope].
func (e *Envelope) UnmarshalJSON(b []byte) error {
	*e = ParseEnvelope(append([]byte(nil), b...))
	return nil
}

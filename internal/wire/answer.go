package wire

import (
	"bytes"
	"strconv"
	"time"

	"github.com/alkdev/hubspoke/internal/jsonscan"
)

// Answer is the output of a call.responded.
type Answer struct {
	Output []byte // as written
	// Data and Meta are the parts of the envelope, within Output. Of a value that is no envelope, also of
	// one that names data or meta twice, Data is all of it and Meta is nil.
	Data, Meta []byte
}

// read reads an output and returns how deep its deepest value is nested.
func (a *Answer) read(c *jsonscan.Cursor) (depth int) {
	start := c.Offset()
	if !c.Object() {
		a.Output = c.Value()
		a.Data = a.Output
		return c.Depth()
	}
	whole, within := 0, 0 // of all members, of data and meta
	twice := false
	for c.Member() {
		part := (*[]byte)(nil)
		switch string(c.Name()) {
		case "data":
			part = &a.Data
		case "meta":
			part = &a.Meta
		}
		raw := c.Value()
		whole = max(whole, c.Depth())
		if part != nil {
			twice = twice || *part != nil
			*part = raw
			within = max(within, c.Depth())
		}
	}
	a.Output = c.Since(start)
	if twice || a.Data == nil || a.Meta == nil || Source(a.Meta) == "" {
		a.Data, a.Meta = a.Output, nil
		return whole + 1
	}
	return within
}

// ParseEnvelope takes an output apart; see [Answer]. The parts point into output.
func ParseEnvelope(output []byte) (data, meta []byte) {
	var a Answer
	c := jsonscan.Read(output)
	a.read(&c)
	if c.End() != nil {
		return output, nil
	}
	return a.Data, a.Meta
}

// Source returns the source that an envelope's meta names, and "" if it names none: then it is no meta.
func Source(meta []byte) string {
	if bytes.HasPrefix(meta, []byte(`{"source":"local"`)) { // without an allocation
		return "local"
	}
	var source string
	if jsonscan.Decode(meta, jsonscan.StringField("source", &source)) != nil {
		return ""
	}
	return source
}

// AppendEnvelope appends an output: data and meta as they are, and the meta of a local value if there is
// none.
func AppendEnvelope(dst, data, meta []byte, operation string, at time.Time) []byte {
	dst = appendValue(append(dst, `{"data":`...), data)
	dst = append(dst, `,"meta":`...)
	if len(meta) == 0 {
		dst = AppendLocalMeta(dst, operation, at)
	} else {
		dst = append(dst, meta...)
	}
	return append(dst, '}')
}

// AppendLocalMeta appends the meta of a value that a handler of this program computed.
func AppendLocalMeta(dst []byte, operation string, at time.Time) []byte {
	dst = jsonscan.AppendString(append(dst, `{"source":"local","operationId":`...), operation)
	return append(strconv.AppendInt(append(dst, `,"timestamp":`...), at.UnixMilli(), 10), '}')
}

// AppendResponded appends a call.responded with an output as it is.
func AppendResponded(dst []byte, id string, output []byte) []byte {
	return append(appendValue(appendResponded(dst, id), output), "}}"...)
}

// AppendRespondedData is AppendResponded with the output that [AppendEnvelope] appends.
func AppendRespondedData(dst []byte, id string, data, meta []byte, operation string, at time.Time) []byte {
	return append(AppendEnvelope(appendResponded(dst, id), data, meta, operation, at), "}}"...)
}

const (
	respondedHead = `{"type":"call.responded","payload":{"requestId":`
	completedHead = `{"type":"call.completed","payload":{"requestId":`
	failedHead    = `{"type":"call.error","payload":{"requestId":`
)

func appendResponded(dst []byte, id string) []byte {
	return append(jsonscan.AppendString(append(dst, respondedHead...), id), `,"output":`...)
}

// AppendCompleted appends a call.completed.
func AppendCompleted(dst []byte, id string) []byte {
	return append(jsonscan.AppendString(append(dst, completedHead...), id), "}}"...)
}

// Answered returns the quoted id of the request that a frame answers which this package has written, and
// the frame's type; nil if it answers none. The id points into the frame.
func Answered(frame []byte) (quotedID []byte, t Type) {
	t = Responded
	rest, ok := bytes.CutPrefix(frame, []byte(respondedHead))
	if !ok {
		t = Completed
		rest, ok = bytes.CutPrefix(frame, []byte(completedHead))
	}
	if !ok {
		t = Failed
		rest, ok = bytes.CutPrefix(frame, []byte(failedHead))
	}
	for i := 1; ok && i < len(rest); i++ {
		switch rest[i] {
		case '\\':
			i++
		case '"':
			return rest[:i+1], t
		}
	}
	return nil, Event
}

// QuotedID returns an id as Answered does.
func QuotedID(id string) []byte { return jsonscan.AppendString(nil, id) }

package schema

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/alkdev/hubspoke/call"
)

// maxReason is how much is told of why an input does not fit, in bytes: a reason
// may quote the input, which may be large.
const maxReason = 512

// Details is what the details of a VALIDATION_ERROR of this package hold.
type Details struct {
	// At is where in the input it failed, as a JSON Pointer: "" is the whole
	// input. "*" stands for an item of an array or a member of an object that the
	// schema does not name.
	At string `json:"at"`

	// Schema is the place in the schema that did not hold, as a JSON Pointer.
	Schema string `json:"schema"`

	// Reason is for people: at most 512 bytes, and may quote the input.
	Reason string `json:"reason"`
}

func failure(at, schema, reason string, cause error) *call.Error {
	d := Details{At: at, Schema: schema, Reason: cut(reason)}
	details, err := json.Marshal(d)
	if err != nil {
		details = nil // three strings always marshal
	}
	where := ""
	if d.At != "" {
		where = " at " + cut(d.At)
	}
	return &call.Error{
		Code:    call.CodeValidation,
		Message: fmt.Sprintf("the input does not fit%s: %s", where, d.Reason),
		Details: details,
		Cause:   cause,
	}
}

// cut shortens s to maxReason bytes of UTF-8.
func cut(s string) string {
	if len(s) > maxReason {
		const more = "…"
		s = s[:maxReason-len(more)]
		return strings.ToValidUTF8(s, "") + more
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

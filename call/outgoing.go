package call

import (
	"context"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Copy makes r the request that a [Caller] makes of the one that it was given: a copy, a stream or not, with
// the parent that ctx names. What would be no frame is refused with VALIDATION_ERROR. It is for
// implementations of [Caller].
func (r *Request) Copy(ctx context.Context, req *Request, stream bool) error {
	if req == nil {
		return &Error{Code: CodeValidation, Message: "the request is nil"}
	}
	*r = *req
	r.Stream = stream
	r.ParentID = ""
	if parent := FromContext(ctx); parent != nil {
		r.ParentID = parent.ID
	}
	switch {
	case len(r.To) > MaxNameBytes || !utf8.ValidString(r.To):
		return &Error{Code: CodeValidation, Message: fmt.Sprintf("the spoke id of call.To is not UTF-8 of at most %d bytes", MaxNameBytes)}
	case !ValidName(r.Operation) || !utf8.ValidString(r.Operation):
		return &Error{Code: CodeValidation, Message: "the operation's name is not namespace.name"}
	case len(r.Input) > 0 && !validJSON(r.Input):
		return &Error{Code: CodeValidation, Message: "the input of " + r.Operation + " is not JSON"}
	case len(r.Metadata) > 0 && (!utf8.Valid(r.Metadata) || !IsObject(r.Metadata)):
		return &Error{Code: CodeValidation, Message: "the metadata is not a JSON object"}
	}
	return nil
}

// ValidPayload reports whether raw can be the payload of an event: nil, or JSON in
// UTF-8. What a program published that is neither would end the connections of its subscribers.
func ValidPayload(raw json.RawMessage) bool { return len(raw) == 0 || validJSON(raw) }

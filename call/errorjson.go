package call

import (
	"encoding/json"

	"github.com/alkdev/hubspoke/internal/jsonscan"
)

// AppendErrorMembers appends the members of an error as they stand in
// `call.error` behind the requestId, without the braces: code, message,
// retryable, and details with `sent`.
func AppendErrorMembers(dst []byte, e *Error) []byte {
	code := e.Code
	if !code.Valid() {
		code = CodeExecution
	}
	dst = append(dst, `"code":`...)
	dst = jsonscan.AppendString(dst, string(code))
	dst = append(dst, `,"message":`...)
	dst = jsonscan.AppendString(dst, e.Message)
	dst = append(dst, `,"retryable":`...)
	dst = appendBool(dst, e.Retryable)
	dst = append(dst, `,"details":`...)
	return append(appendDetails(dst, e), '}')
}

// appendDetails writes `details` without its closing brace. What the handler
// wrote there for `sent` is replaced by the actual value. Details that are not a JSON object are left out.
func appendDetails(dst []byte, e *Error) []byte {
	dst = append(dst, `{"sent":`...)
	dst = appendBool(dst, e.Sent)
	if len(e.Details) == 0 || !jsonscan.ValidUTF8(e.Details) {
		return dst
	}
	o := jsonscan.Open(e.Details)
	return appendOthers(dst, &o)
}

// appendOthers appends the members but `sent`, each with a comma before it.
func appendOthers(dst []byte, o *jsonscan.Object) []byte {
	for o.Next() {
		if string(o.Name()) == "sent" {
			continue
		}
		dst = append(dst, ',')
		dst = jsonscan.AppendString(dst, string(o.Name()))
		dst = append(dst, ':')
		dst = append(dst, o.Value()...)
	}
	return dst
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, "true"...)
	}
	return append(dst, "false"...)
}

// MarshalJSON gives the error as it stands on the wire, without a requestId.
func (e *Error) MarshalJSON() ([]byte, error) {
	return append(AppendErrorMembers([]byte{'{'}, e), '}'), nil
}

// ParseError reads the members that [AppendErrorMembers] writes; others are
// ignored. What is left out or unreadable takes the protocol's defaults: an unknown or
// malformed code is EXECUTION_ERROR, retryable is false, and sent is what the
// table has for the code; it is not part of Details. It never fails and keeps nothing of payload.
func ParseError(payload []byte) *Error {
	var code, message string
	e := &Error{}
	var details json.RawMessage
	o := jsonscan.Open(payload)
	for o.Next() {
		switch string(o.Name()) {
		case "code":
			code, _ = jsonscan.String(o.Value())
		case "message":
			message, _ = jsonscan.String(o.Value())
		case "retryable":
			e.Retryable = string(o.Value()) == "true"
		case "details":
			details = o.Value()
		}
	}
	e.Code, e.Message = Code(code), message
	if !e.Code.Valid() {
		e.Code = CodeExecution
	}
	e.Sent = e.Code.MayHaveRun()
	if jsonscan.Kind(details) == '{' {
		e.Sent = detailsSent(details, e.Sent)
		e.Details = withoutSent(details)
	}
	return e
}

// withoutSent returns details without the member sent, nil if no other member is left.
func withoutSent(details []byte) json.RawMessage {
	o := jsonscan.Open(details)
	out := appendOthers(nil, &o)
	if len(out) == 0 || o.Err() != nil {
		return nil
	}
	out[0] = '{' // in place of the first comma
	return append(out, '}')
}

func detailsSent(details []byte, absent bool) bool {
	o := jsonscan.Open(details)
	for o.Next() {
		if string(o.Name()) == "sent" {
			switch string(o.Value()) {
			case "true":
				return true
			case "false":
				return false
			}
		}
	}
	return absent
}

package wire

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/alkdev/hubspoke/internal/jsonscan"
)

// Failure is the error of a call (protocol section 3, "Errors").
type Failure struct {
	Code, Message string
	Retryable     bool
	// Sent reports whether the handler's own code can have run. On the wire it is a member of the details.
	Sent bool
	// Details is a JSON object without sent; nil if it has no other member.
	Details []byte

	hasSent bool
}

// Left is the failure of a request whose caller has left. It is not changed.
var Left = Failure{Code: "ABORTED", Message: "the caller canceled", Sent: true}

// executionError is the code of a handler's failure that has none of its own.
const executionError = "EXECUTION_ERROR"

// ParseFailure reads the members of an error and ignores others. What is absent or has the wrong JSON
// type takes the protocol's default: a code that is malformed is EXECUTION_ERROR, retryable is false,
// and sent is what the table has for the code. It never fails. Nothing points into raw.
func ParseFailure(raw []byte) Failure {
	m := Message{Type: Failed}
	c := jsonscan.Read(raw)
	m.readMembers(&c)
	return m.Failure
}

// read reads one member and returns how deep the details are nested.
func (f *Failure) read(name member, c *jsonscan.Cursor) (depth int) {
	switch name {
	case code:
		text, _ := c.Text()
		f.Code = string(text)
	case message:
		text, _ := c.Text()
		f.Message = string(text)
	case retryable:
		f.Retryable, _ = jsonscan.Bool(c.Value())
	case details:
		return f.readDetails(c)
	}
	return 0
}

func (f *Failure) readDetails(c *jsonscan.Cursor) (depth int) {
	if !c.Object() {
		c.Skip()
		return c.Depth()
	}
	for c.Member() {
		if string(c.Name()) == "sent" {
			if sent, ok := jsonscan.Bool(c.Value()); ok {
				f.Sent, f.hasSent = sent, true
			}
			continue
		}
		name := c.Name()
		raw := c.Value()
		depth = max(depth, c.Depth())
		f.Details = append(appendName(f.Details, name), raw...)
	}
	if len(f.Details) > 0 {
		f.Details[0] = '{' // in place of the first comma
		f.Details = append(f.Details, '}')
	}
	return depth + 1
}

func appendName(dst, name []byte) []byte {
	return append(jsonscan.AppendString(append(dst, ','), string(name)), ':')
}

// defaults completes a failure that was read.
func (f *Failure) defaults() {
	if !ValidCode(f.Code) {
		f.Code = executionError
	}
	if !f.hasSent {
		f.Sent = MayHaveRun(f.Code)
	}
}

// AppendFailureMembers appends the members of an error without the braces around them: code, message,
// retryable, and details with sent. A malformed code is written as EXECUTION_ERROR. Details that are
// not a JSON object in UTF-8 are left out.
func AppendFailureMembers(dst []byte, f *Failure) []byte {
	code := f.Code
	if !ValidCode(code) {
		code = executionError
	}
	dst = jsonscan.AppendString(append(dst, `"code":`...), code)
	dst = jsonscan.AppendString(append(dst, `,"message":`...), f.Message)
	dst = strconv.AppendBool(append(dst, `,"retryable":`...), f.Retryable)
	dst = strconv.AppendBool(append(dst, `,"details":{"sent":`...), f.Sent)
	before := len(dst)
	c := jsonscan.Read(f.Details)
	if utf8.Valid(f.Details) && c.Object() {
		for c.Member() {
			if name := c.Name(); string(name) != "sent" {
				dst = append(appendName(dst, name), c.Value()...)
			}
		}
		if c.End() != nil {
			dst = dst[:before]
		}
	}
	return append(dst, '}')
}

// AppendFailed appends a call.error of at most limit bytes; 0 is no limit. It cuts the message, and
// leaves out details that do not fit, which the end of the message reports.
func AppendFailed(dst []byte, id string, f *Failure, limit int64) []byte {
	start := len(dst)
	dst = appendFailed(dst, id, f)
	if limit <= 0 || int64(len(dst)-start) <= limit {
		return dst
	}
	short := *f
	short.Message = ""
	if n := len(f.Details); n > 0 && int64(len(appendFailed(nil, id, &short))) > limit/2 {
		short.Details = nil
		short.Message = fmt.Sprintf(" (details of %d bytes left out)", n)
	}
	room := limit - int64(len(appendFailed(nil, id, &short)))
	short.Message = jsonscan.Cut(f.Message, int(max(room, 0))) + short.Message
	return appendFailed(dst[:start], id, &short)
}

func appendFailed(dst []byte, id string, f *Failure) []byte {
	dst = append(jsonscan.AppendString(append(dst, failedHead...), id), ',')
	return append(AppendFailureMembers(dst, f), "}}"...)
}

// AppendFailedTo is AppendFailed without a limit, for an id as [Answered] returns it.
func AppendFailedTo(dst, quotedID []byte, f *Failure) []byte {
	dst = append(append(append(dst, failedHead...), quotedID...), ',')
	return append(AppendFailureMembers(dst, f), "}}"...)
}

// MayHaveRun returns the default of sent in the protocol's table, for an error without it: whether the
// handler's own code can have run. It is true for codes that are not in the table, which only a handler
// can have made.
func MayHaveRun(code string) bool {
	switch code {
	case "OPERATION_NOT_FOUND", "SPOKE_NOT_FOUND", "ACCESS_DENIED", "VALIDATION_ERROR", "MESSAGE_TOO_LARGE", "OVERLOADED", "UNAVAILABLE":
		return false
	}
	return true
}

// ValidCode reports whether code is upper snake case: A-Z first, then A-Z, 0-9 and single underscores,
// at most 64 bytes.
func ValidCode(code string) bool {
	if code == "" || len(code) > 64 || code[0] < 'A' || code[0] > 'Z' || code[len(code)-1] == '_' {
		return false
	}
	for i := 1; i < len(code); i++ {
		switch b := code[i]; {
		case b >= 'A' && b <= 'Z', b >= '0' && b <= '9':
		case b == '_' && code[i-1] != '_':
		default:
			return false
		}
	}
	return true
}

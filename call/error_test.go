package call_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/alkdev/hubspoke/call"
)

func TestErrorChain(t *testing.T) {
	cause := errors.New("the cause")
	e := &call.Error{Code: call.CodeTimeout, Message: "m", Cause: cause}
	wrapped := fmt.Errorf("around: %w", e)
	if !errors.Is(wrapped, call.CodeTimeout) || errors.Is(wrapped, call.CodeAborted) || !errors.Is(wrapped, cause) {
		t.Error("errors.Is does not see code and cause")
	}
	if got, ok := errors.AsType[*call.Error](wrapped); !ok || got != e {
		t.Error("errors.AsType does not find it")
	}
	for want, e := range map[string]*call.Error{
		"TIMEOUT: m":         e,
		"TIMEOUT: the cause": {Code: call.CodeTimeout, Cause: cause},
		"TIMEOUT":            {Code: call.CodeTimeout},
	} {
		if e.Error() != want {
			t.Errorf("Error() = %q, want %q", e.Error(), want)
		}
	}
	if call.CodeTimeout.Error() != "TIMEOUT" {
		t.Error("a code is not its own text")
	}
}

// The protocol's table, written down once more.
func TestCodeTable(t *testing.T) {
	for code, want := range map[call.Code]struct{ sent, retryable bool }{
		"OPERATION_NOT_FOUND": {false, true}, "SPOKE_NOT_FOUND": {false, true}, "ACCESS_DENIED": {false, false},
		"VALIDATION_ERROR": {false, false}, "MESSAGE_TOO_LARGE": {false, false}, "OVERLOADED": {false, true},
		"UNAVAILABLE": {false, true}, "DISCONNECTED": {true, true}, "TIMEOUT": {true, false}, "ABORTED": {true, false},
		"SLOW_CONSUMER": {true, false}, "EXECUTION_ERROR": {true, false}, "OUT_OF_STOCK": {true, false},
	} {
		if e := call.Errorf(code, "m"); e.Sent != want.sent || e.Retryable != want.retryable {
			t.Errorf("%+v, want %+v", e, want)
		}
	}
}

// An error matches the end of a context by its code, so that it is the same whichever side was first.
func TestErrorMatchesContexts(t *testing.T) {
	for code, want := range map[call.Code][2]bool{call.CodeTimeout: {true, false}, call.CodeAborted: {false, true}, "OWN": {}} {
		var e call.Error
		must(t, json.Unmarshal(fmt.Appendf(nil, `{"code":%q}`, code), &e))
		err := fmt.Errorf("wrapped: %w", &e)
		if got := [2]bool{errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled)}; got != want {
			t.Errorf("%s: %v, want %v", code, got, want)
		}
	}
	if errors.Is((*call.Error)(nil), context.Canceled) {
		t.Error("a nil error matches")
	}
}

func TestErrorJSON(t *testing.T) {
	for _, e := range []*call.Error{
		{Code: "OWN", Message: "quote \" and \n", Sent: true, Retryable: true, Details: json.RawMessage(`{"a":[1],"\u0062":{"sent":1}}`)},
		{Code: call.CodeOverloaded, Sent: false, Retryable: true},
		{Code: call.CodeOverloaded, Sent: true, Details: json.RawMessage(`{"sent":false,"x":1,"s\u0065nt":false}`)},
		{Code: "not a code", Message: "m"},
		{Code: "OWN", Details: json.RawMessage(`[1]`)}, {Code: "OWN", Details: json.RawMessage(`{"a":`)}, {Code: "OWN", Details: json.RawMessage(`{}`)},
		{Code: "OWN", Message: "m", Details: json.RawMessage("{\"a\":\"\xff\"}")},
	} {
		raw, err := json.Marshal(e)
		if err != nil {
			t.Fatalf("%+v: %v", e, err)
		}
		if !utf8.Valid(raw) { // it would be no frame
			t.Errorf("%q is not UTF-8", raw)
		}
		got := parseError(t, raw)
		want := *e
		if want.Code == "not a code" {
			want.Code = call.CodeExecution
		}
		if got.Code != want.Code || got.Message != want.Message || got.Sent != want.Sent || got.Retryable != want.Retryable {
			t.Errorf("%s parsed as %+v", raw, got)
		}
		var wire struct {
			Details map[string]any `json:"details"`
		}
		if err := json.Unmarshal(raw, &wire); err != nil || wire.Details["sent"] != e.Sent {
			t.Errorf("%s: details %v, %v", raw, wire.Details, err)
		}
		var details map[string]any
		if got.Details != nil {
			if err := json.Unmarshal(got.Details, &details); err != nil {
				t.Errorf("details %s, %v", got.Details, err)
			}
		}
		if _, there := details["sent"]; there || len(details) != len(wire.Details)-1 || len(details) == 0 && got.Details != nil {
			t.Errorf("details %s of %s", got.Details, raw)
		}
	}
}

func parseError(t *testing.T, raw []byte) *call.Error {
	t.Helper()
	e := new(call.Error)
	if err := e.UnmarshalJSON(raw); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestParseErrorDefaults(t *testing.T) {
	for payload, want := range map[string]call.Error{
		`{}`:   {Code: call.CodeExecution, Sent: true},
		``:     {Code: call.CodeExecution, Sent: true},
		`null`: {Code: call.CodeExecution, Sent: true},
		`[1`:   {Code: call.CodeExecution, Sent: true},
		`{"code":"lower","message":5,"retryable":"true"}`:                            {Code: call.CodeExecution, Sent: true},
		`{"CODE":"A","Message":"m"}`:                                                 {Code: call.CodeExecution, Sent: true},
		`{"code":"OVERLOADED"}`:                                                      {Code: call.CodeOverloaded},
		`{"code":"OVERLOADED","details":{"sent":"no"}}`:                              {Code: call.CodeOverloaded},
		`{"code":"OVERLOADED","details":{"sent":true}}`:                              {Code: call.CodeOverloaded, Sent: true},
		`{"code":"TIMEOUT","details":{"sent":false},"retryable":true,"message":"m"}`: {Code: call.CodeTimeout, Retryable: true, Message: "m"},
		`{"code":"TIMEOUT","details":[false]}`:                                       {Code: call.CodeTimeout, Sent: true},
	} {
		got := parseError(t, []byte(payload))
		if got.Code != want.Code || got.Sent != want.Sent || got.Retryable != want.Retryable || got.Message != want.Message {
			t.Errorf("%s: %+v", payload, got)
		}
	}
	payload := []byte(`{"code":"A","message":"m","details":{"x":"y"}}`)
	got := parseError(t, payload)
	clear(payload)
	if got.Code != "A" || got.Message != "m" || string(got.Details) != `{"x":"y"}` {
		t.Error("it keeps something of the payload")
	}
}

func TestErrorf(t *testing.T) {
	errOne, errTwo := errors.New("one"), errors.New("two")
	for name, c := range map[string]struct {
		err     *call.Error
		message string
		causes  []error
	}{
		"no cause":           {call.Errorf(call.CodeOverloaded, "full: %v", errOne), "full: one", nil},
		"a cause":            {call.Errorf(call.CodeOverloaded, "full: %w", errOne), "full: one", []error{errOne}},
		"causes":             {call.Errorf(call.CodeOverloaded, "full: %w, %w", errOne, errTwo), "full: one, two", []error{errOne, errTwo}},
		"joined":             {call.Errorf(call.CodeOverloaded, "full: %w", errors.Join(errOne, errTwo)), "full: one\ntwo", []error{errOne, errTwo}},
		"causes with a code": {call.Errorf(call.CodeOverloaded, "%w: %w", errOne, &call.Error{Code: call.CodeOverloaded, Message: "full"}), "one: full", []error{errOne}},
	} {
		if e := c.err; e.Message != c.message || e.Sent || !e.Retryable || (e.Cause != nil) != (c.causes != nil) {
			t.Errorf("%s: %+v", name, e)
		}
		for _, cause := range []error{errOne, errTwo} {
			if errors.Is(c.err, cause) != slices.Contains(c.causes, cause) {
				t.Errorf("%s: wraps %v: %v", name, cause, errors.Is(c.err, cause))
			}
		}
	}
}

package wire

import (
	"strings"
	"testing"
)

func TestValidCode(t *testing.T) {
	for code, want := range map[string]bool{
		"A": true, "Z": true, "AZ": true, "A_B": true, "A_B_C": true, "A0": true, "A9": true, "A_1": true, strings.Repeat("A", 64): true,
		"": false, "a": false, "_A": false, "A_": false, "A__B": false, "_": false, "0A": false, "@": false, "[": false, "Aa": false, "AzB": false,
		"A@": false, "A[": false, "A/": false, "A:": false, "A`": false, "A B": false, "A-B": false, "A\x00": false, "AÄ": false, strings.Repeat("A", 65): false,
	} {
		if got := ValidCode(code); got != want {
			t.Errorf("%q: %v", code, got)
		}
	}
}

// An error without sent has the default of the protocol's table for its code, and a code that is malformed is the handler's
// failure.
func TestFailureDefaults(t *testing.T) {
	for raw, want := range map[string]Failure{
		`{"code":"OPERATION_NOT_FOUND"}`: {Code: "OPERATION_NOT_FOUND"}, `{"code":"SPOKE_NOT_FOUND"}`: {Code: "SPOKE_NOT_FOUND"},
		`{"code":"ACCESS_DENIED"}`: {Code: "ACCESS_DENIED"}, `{"code":"VALIDATION_ERROR"}`: {Code: "VALIDATION_ERROR"},
		`{"code":"MESSAGE_TOO_LARGE"}`: {Code: "MESSAGE_TOO_LARGE"}, `{"code":"OVERLOADED"}`: {Code: "OVERLOADED"},
		`{"code":"UNAVAILABLE"}`: {Code: "UNAVAILABLE"}, `{"code":"DISCONNECTED"}`: {Code: "DISCONNECTED", Sent: true},
		`{"code":"ABORTED"}`: {Code: "ABORTED", Sent: true}, `{"code":"OUT_OF_STOCK"}`: {Code: "OUT_OF_STOCK", Sent: true},
		`{"code":"lower"}`: {Code: "EXECUTION_ERROR", Sent: true}, `{}`: {Code: "EXECUTION_ERROR", Sent: true}, ``: {Code: "EXECUTION_ERROR", Sent: true},
		`{"code":"TIMEOUT","message":"m","retryable":true,"details":{"sent":false,"a":[1],"b":2}}`: {Code: "TIMEOUT", Message: "m", Retryable: true, Details: []byte(`{"a":[1],"b":2}`)},
		`{"code":"UNAVAILABLE","details":{"sent":true}}`:                                           {Code: "UNAVAILABLE", Sent: true},
		`{"code":"UNAVAILABLE","details":{"sent":1,"a":1}}`:                                        {Code: "UNAVAILABLE", Details: []byte(`{"a":1}`)},
		`{"code":"UNAVAILABLE","details":[true]}`:                                                  {Code: "UNAVAILABLE"},
	} {
		got := ParseFailure([]byte(raw))
		if got.Code != want.Code || got.Message != want.Message || got.Retryable != want.Retryable || got.Sent != want.Sent || string(got.Details) != string(want.Details) {
			t.Errorf("%s: %+v", raw, got)
		}
	}
	for in, want := range map[string]string{
		`{"code":"A","details":{"a":1,"sent":true}}`: `"code":"A","message":"","retryable":false,"details":{"sent":true,"a":1}`,
		`{"code":"a"}`: `"code":"EXECUTION_ERROR","message":"","retryable":false,"details":{"sent":true}`,
	} {
		f := ParseFailure([]byte(in))
		if got := string(AppendFailureMembers(nil, &f)); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
	const none = `"code":"EXECUTION_ERROR","message":"m","retryable":true,"details":{"sent":false}`
	for _, details := range []string{`[1]`, `{"a":1`, `{"a":1}}`, "{\"a\":\"\xff\"}", `{"sent":true}`, `7`, ``} {
		if got := string(AppendFailureMembers(nil, &Failure{Code: "x", Message: "m", Retryable: true, Details: []byte(details)})); got != none {
			t.Errorf("%s: %s", details, got)
		}
	}
}

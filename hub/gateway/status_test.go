package gateway

import (
	"testing"

	"github.com/alkdev/hubspoke/call"
)

// The protocol's table, written down once more.
func TestStatusOf(t *testing.T) {
	for code, want := range map[call.Code]int{
		"OPERATION_NOT_FOUND": 404, "SPOKE_NOT_FOUND": 404, "ACCESS_DENIED": 403, "VALIDATION_ERROR": 400, "MESSAGE_TOO_LARGE": 413,
		"OVERLOADED": 429, "UNAVAILABLE": 503, "DISCONNECTED": 502, "TIMEOUT": 504, "ABORTED": 499, "SLOW_CONSUMER": 500,
		"EXECUTION_ERROR": 500, "DECODE_ERROR": 500, "OUT_OF_STOCK": 422,
	} {
		if got := statusOf(code); got != want {
			t.Errorf("%s: %d, want %d", code, got, want)
		}
	}
}

package spoke

import (
	"errors"
	"fmt"
	"testing"

	"github.com/alkdev/hubspoke/transport"
)

// After which ends of a connection the spoke offers its session (protocol section 7).
func TestEndsThatKeepASession(t *testing.T) {
	remote := map[transport.CloseCode]bool{1000: true, 1001: true, 1006: true, 1011: true, 1012: true, 1014: true,
		4000: true, 4001: true, 4002: true, 4003: true, 4005: true, 4006: true, 4008: true,
		4500: false, 4501: false, 4502: false, 4503: false, 4999: false, 5000: true}
	for code, want := range remote {
		err := fmt.Errorf("read: %w", &transport.CloseError{Code: code, Remote: true})
		if got := keepsSession(err, false); got != want {
			t.Errorf("closed by the hub with %d: %v", code, got)
		}
		if got := keepsSession(err, true); got != (want && code != transport.CloseServiceRestart) {
			t.Errorf("closed by a hub that drains with %d: %v", code, got)
		}
	}
	local := map[transport.CloseCode]bool{transport.CloseLeft: false, transport.CloseProtocolError: false, transport.CloseUnsupportedData: false,
		transport.CloseInvalidFrame: false, transport.CloseMessageTooBig: false, transport.CloseGoingAway: true, transport.CloseTryAgainLater: true,
		transport.CloseServiceRestart: true, transport.CloseReplaced: true}
	for code, want := range local {
		for _, drains := range []bool{false, true} {
			if got := keepsSession(&transport.CloseError{Code: code}, drains); got != want {
				t.Errorf("closed by the spoke with %d: %v", code, got)
			}
		}
	}
	if !keepsSession(errors.New("connection reset"), true) {
		t.Error("a connection that is lost ends the session")
	}
}

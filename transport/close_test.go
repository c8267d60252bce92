package transport_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/alkdev/hubspoke/transport"
)

func TestTerminal(t *testing.T) {
	for code, want := range map[transport.CloseCode]bool{
		1000: false, 1008: false, 1012: false, 4000: false, 4006: false, 4499: false,
		4500: true, 4503: true, 4999: true, 5000: false, 0: false,
	} {
		if code.Terminal() != want {
			t.Errorf("%d: %v", code, !want)
		}
	}
}

func TestCloseErrorText(t *testing.T) {
	for want, err := range map[string]*transport.CloseError{
		"closed with 1000 (normal closure)":                                         {Code: 1000},
		`closed by the other side with 4502 (replaced by another instance): "by x"`: {Code: 4502, Reason: "by x", Remote: true},
	} {
		if err.Error() != want {
			t.Errorf("got %s, want %s", err, want)
		}
	}
	if s := transport.CloseCode(4321).String(); !strings.Contains(s, "4321") {
		t.Error(s)
	}
}

// The codes are those of section 7 of the protocol: programs in other languages send and read the numbers.
func TestCodesOfTheProtocol(t *testing.T) {
	for code, want := range map[transport.CloseCode]int{
		transport.CloseNormal: 1000, transport.CloseGoingAway: 1001, transport.CloseProtocolError: 1002,
		transport.CloseUnsupportedData: 1003, transport.CloseNoStatus: 1005, transport.CloseInvalidFrame: 1007,
		transport.CloseMessageTooBig: 1009, transport.CloseServiceRestart: 1012, transport.CloseTryAgainLater: 1013,
		transport.CloseNotRegistered: 4000, transport.CloseHeartbeatMissed: 4001, transport.CloseSlowConsumer: 4002,
		transport.CloseRateLimit: 4003, transport.CloseIDTaken: 4004, transport.CloseCredentialsExpired: 4005,
		transport.CloseSuperseded: 4006, transport.CloseResumeElsewhere: 4007, transport.CloseLeft: 4008,
		transport.CloseNotAuthenticated: 4500, transport.CloseRegistrationRefused: 4501, transport.CloseReplaced: 4502,
		transport.CloseKicked: 4503,
	} {
		if int(code) != want {
			t.Errorf("%v is %d, want %d", code, int(code), want)
		}
	}
}

// What a close frame may not hold goes out as a close without a code, at both borders of each range.
func TestCodesThatCanBeSent(t *testing.T) {
	for code, want := range map[transport.CloseCode]transport.CloseCode{
		0: 1005, 999: 1005, 1000: 1000, 1003: 1003, 1004: 1005, 1005: 1005, 1006: 1005, 1007: 1007, 1014: 1014, 1015: 1005, 1016: 1005,
		2999: 1005, 3000: 3000, 4999: 4999, 5000: 1005, 65535: 1005,
	} {
		a, b := transport.Pipe(nil)
		a.Close(code, "bye")
		_, err := b.Read()
		if ce, ok := errors.AsType[*transport.CloseError](err); !ok || ce.Code != want || !ce.Remote {
			t.Errorf("%d arrived as %v, want %d", code, err, want)
		}
		_, _ = a.Read()
	}
}

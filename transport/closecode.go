package transport

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// CloseCode is the status of a WebSocket close frame (RFC 6455 section 7.4,
// protocol section 7).
type CloseCode int

// The codes of protocol section 7, and those of RFC 6455 that the transport itself meets.
const (
	// CloseNormal is a lost connection for the session, since proxies send it too. A spoke that leaves
	// sends CloseLeft.
	CloseNormal CloseCode = 1000
	// CloseGoingAway ends a connection whose side goes away.
	CloseGoingAway CloseCode = 1001
	// CloseProtocolError answers bytes that are not the WebSocket protocol.
	CloseProtocolError CloseCode = 1002
	// CloseUnsupportedData answers a binary message.
	CloseUnsupportedData CloseCode = 1003
	// CloseNoStatus is never sent: it means a close frame without a code.
	CloseNoStatus CloseCode = 1005
	// CloseInvalidFrame answers a message that is not a frame.
	CloseInvalidFrame CloseCode = 1007
	// CloseMessageTooBig answers a message over the limit.
	CloseMessageTooBig CloseCode = 1009
	// CloseServiceRestart ends the connections of a hub that drains.
	CloseServiceRestart CloseCode = 1012
	// CloseTryAgainLater asks a spoke to reconnect later.
	CloseTryAgainLater CloseCode = 1013

	// CloseNotRegistered: no registration in time.
	CloseNotRegistered CloseCode = 4000
	// CloseHeartbeatMissed: nothing was heard for too long.
	CloseHeartbeatMissed CloseCode = 4001
	// CloseSlowConsumer: events were not read fast enough.
	CloseSlowConsumer CloseCode = 4002
	// CloseRateLimit: rate limit exceeded.
	CloseRateLimit CloseCode = 4003
	// CloseIDTaken: the id is held by another identity.
	CloseIDTaken CloseCode = 4004
	// CloseCredentialsExpired: the credentials expired or were revoked; fetch new ones and reconnect.
	CloseCredentialsExpired CloseCode = 4005
	// CloseSuperseded: the spoke has a newer connection of its own.
	CloseSuperseded CloseCode = 4006
	// CloseResumeElsewhere: another hub holds the session; the answer before it has that hub's URL.
	CloseResumeElsewhere CloseCode = 4007
	// CloseLeft (from a spoke): it leaves permanently, and its session ends. No proxy sends it.
	CloseLeft CloseCode = 4008

	// CloseNotAuthenticated: the credentials were refused.
	CloseNotAuthenticated CloseCode = 4500
	// CloseRegistrationRefused: the registration was refused.
	CloseRegistrationRefused CloseCode = 4501
	// CloseReplaced: another instance took the id over.
	CloseReplaced CloseCode = 4502
	// CloseKicked: disconnected by the operator.
	CloseKicked CloseCode = 4503
)

// Terminal reports whether a client must stay away after this code: 4500 to
// 4999. After everything else, a lost connection included, it reconnects.
func (c CloseCode) Terminal() bool { return c >= 4500 && c <= 4999 }

// String is the code in words, or "close code N" for one that has no name here.
func (c CloseCode) String() string {
	if name := closeNames[c]; name != "" {
		return name
	}
	return "close code " + strconv.Itoa(int(c))
}

var closeNames = map[CloseCode]string{
	CloseNormal:              "normal closure",
	CloseGoingAway:           "going away",
	CloseProtocolError:       "protocol error",
	CloseUnsupportedData:     "binary message",
	CloseNoStatus:            "no close code",
	CloseInvalidFrame:        "not a frame",
	CloseMessageTooBig:       "message too big",
	CloseServiceRestart:      "service restart",
	CloseTryAgainLater:       "try again later",
	CloseNotRegistered:       "no registration in time",
	CloseHeartbeatMissed:     "heartbeat missed",
	CloseSlowConsumer:        "slow consumer",
	CloseRateLimit:           "rate limit",
	CloseIDTaken:             "id held by another identity",
	CloseCredentialsExpired:  "credentials expired",
	CloseSuperseded:          "superseded by a newer connection",
	CloseResumeElsewhere:     "resume elsewhere",
	CloseLeft:                "left",
	CloseNotAuthenticated:    "not authenticated",
	CloseRegistrationRefused: "registration refused",
	CloseReplaced:            "replaced by another instance",
	CloseKicked:              "disconnected by the operator",
}

// sendable reports whether RFC 6455 allows the code in a close frame.
func (c CloseCode) sendable() bool {
	switch c {
	case 1004, CloseNoStatus, 1006:
		return false
	}
	return c >= 1000 && c <= 1014 || c >= 3000 && c <= 4999
}

// CloseError is the end of a connection by a close frame.
type CloseError struct {
	// Code is CloseNoStatus if the other side sent none.
	Code CloseCode
	// Reason is for logs; valid UTF-8 of at most 123 bytes.
	Reason string
	// Remote is true if the other side closed, false if this side did.
	Remote bool
}

func (e *CloseError) Error() string {
	who := "closed"
	if e.Remote {
		who = "closed by the other side"
	}
	text := fmt.Sprintf("%s with %d (%s)", who, int(e.Code), e.Code)
	if e.Reason != "" && e.Reason != e.Code.String() {
		text += ": " + strconv.Quote(e.Reason)
	}
	return text
}

// newClose returns this side's close as it is sent.
func newClose(code CloseCode, reason string) *CloseError {
	if !code.sendable() {
		return &CloseError{Code: CloseNoStatus}
	}
	return &CloseError{Code: code, Reason: cutReason(reason)}
}

// ErrLost means that the connection ended without a close frame: cut, aborted,
// timed out. It wraps the cause, and there is no code.
var ErrLost = errors.New("connection lost")

// errAborted is the cause of ErrLost after Abort.
var errAborted = errors.New("aborted")

// lost wraps a cause in ErrLost, once.
func lost(cause error) error {
	if errors.Is(cause, ErrLost) {
		return cause
	}
	return fmt.Errorf("%w: %w", ErrLost, cause)
}

// maxReasonBytes is what a control frame of 125 bytes leaves after the code.
const maxReasonBytes = 123

// cutReason makes a reason fit for a close frame: valid UTF-8, cut on a rune
// border.
func cutReason(reason string) string {
	return cutText(validText(reason), maxReasonBytes)
}

// cutText returns at most the first n bytes of valid UTF-8, cut on a rune border.
func cutText(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// validText makes text from outside safe to hand on: what is not UTF-8 becomes
// U+FFFD.
func validText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

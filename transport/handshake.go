package transport

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// HandshakeError says that a server answered a Dial with something other than a
// WebSocket.
type HandshakeError struct {
	// Status is the HTTP status of the answer; 401 and 403 mean stop (protocol
	// section 1). 101 if the server agreed but broke the protocol.
	Status int
	// RetryAfter is how long the server asks to stay away; 0 if it does not.
	RetryAfter time.Duration
	// Err is what went wrong in detail.
	Err error
}

func (e *HandshakeError) Error() string {
	text := fmt.Sprintf("handshake refused with %d %s", e.Status, http.StatusText(e.Status))
	if e.RetryAfter > 0 {
		text += ", retry after " + e.RetryAfter.String()
	}
	if e.Status == http.StatusSwitchingProtocols {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns Err.
func (e *HandshakeError) Unwrap() error { return e.Err }

// retryAfter reads a Retry-After header, seconds or a date (RFC 9110 section
// 10.2.3); 0 for anything else and for what is past. More than a day counts as a
// day.
func retryAfter(value string, now time.Time) time.Duration {
	const most = 24 * time.Hour
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, most)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), most)
	}
	return 0
}

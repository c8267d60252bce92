package transport

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// HandshakeError reports that a server answered a Dial with something other than a
// WebSocket.
type HandshakeError struct {
	// Status is the HTTP status of the answer. 101 if the server agreed but broke the protocol.
	Status int
	// Refused is the value of the header Hubspoke-Refused, with which a hub marks its
	// refusal of this client: "unauthenticated" or "forbidden". It is empty if the header is absent or unknown, or if
	// Status is neither 401 nor 403: then a server on the way may have answered, and the
	// client should reconnect (protocol section 1).
	Refused string
	// RetryAfter is how long the server asks to stay away; 0 if it does not.
	RetryAfter time.Duration
	// Text is the first line of the answer's body, at most 200 bytes; empty if the body has no text.
	Text string
	// Redirect is the host that a redirect led to, if the credentials were not sent there: an
	// HTTP client sends them to another host only if that is a subdomain. Empty otherwise.
	Redirect string
	// Err is what went wrong in detail.
	Err error
}

// RefusedHeader is the name of the header with which a hub marks its refusals.
const RefusedHeader = "Hubspoke-Refused"

// The values of [RefusedHeader]. The reason of [CloseNotAuthenticated] begins with one of them too.
const (
	RefusedUnauthenticated = "unauthenticated"
	RefusedForbidden       = "forbidden"
)

func (e *HandshakeError) Error() string {
	text := fmt.Sprintf("handshake refused with %d %s", e.Status, http.StatusText(e.Status))
	if e.Text != "" && e.Text != http.StatusText(e.Status) {
		text += ": " + strconv.Quote(e.Text)
	}
	if e.RetryAfter > 0 {
		text += ", retry after " + e.RetryAfter.String()
	}
	if e.Redirect != "" {
		text += ", after a redirect to " + e.Redirect + ", to which the credentials were not sent: use the URL that it leads to"
	}
	if e.Status == http.StatusSwitchingProtocols {
		text += ": " + e.Err.Error()
	}
	return text
}

// newHandshakeError makes the error of an answer. Of its body the library has left the beginning.
func newHandshakeError(resp *http.Response, redirect string, err error) *HandshakeError {
	e := &HandshakeError{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
		Redirect: redirect, Err: err}
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		switch refused := resp.Header.Get(RefusedHeader); refused {
		case RefusedUnauthenticated, RefusedForbidden:
			e.Refused = refused
		}
	}
	if resp.Body != nil {
		body, _ := io.ReadAll(resp.Body) // in memory
		e.Text = firstLine(body)
	}
	return e
}

// maxTextBytes bounds HandshakeError.Text.
const maxTextBytes = 200

// firstLine returns the first line of a text that has more than white space, without control
// characters.
func firstLine(body []byte) string {
	for line := range strings.Lines(validText(string(body))) {
		line = strings.TrimSpace(strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, line))
		if line != "" {
			return cutText(line, maxTextBytes)
		}
	}
	return ""
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

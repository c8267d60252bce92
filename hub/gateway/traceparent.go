package gateway

import (
	"encoding/json"
	"net/http"
	"strings"
)

// metadataOf carries the trace that the request belongs to. A malformed traceparent is left out, as
// its specification (W3C Trace Context) asks.
func metadataOf(header http.Header) json.RawMessage {
	parent := header.Get("Traceparent")
	if !validTraceparent(parent) {
		return nil
	}
	return json.RawMessage(`{"traceparent":"` + parent + `"}`) // hexadecimal digits and hyphens need no escape
}

// validTraceparent wants version-trace-parent-flags in lower-case hexadecimal. A later version may
// have more behind it.
func validTraceparent(s string) bool {
	const size = 55
	if len(s) < size || len(s) > 2*size || len(s) > size && (s[:2] == "00" || s[size] != '-') {
		return false
	}
	parts := strings.Split(s, "-")
	for i, n := range []int{2, 32, 16, 2} {
		if len(parts) <= i || len(parts[i]) != n {
			return false
		}
	}
	if strings.ContainsFunc(s, notTraceRune) {
		return false
	}
	return parts[0] != "ff" && strings.Trim(parts[1], "0") != "" && strings.Trim(parts[2], "0") != ""
}

func notTraceRune(r rune) bool { return !strings.ContainsRune("0123456789abcdef-", r) }

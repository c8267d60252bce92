// Package redact removes credentials from URLs before they are logged or become part of an error: the
// user info, and the query and the fragment, where tokens travel too.
package redact

import (
	"errors"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// URL returns a URL without user info, query and fragment. Of text that is no URL nothing is left but
// the remark that it is none, since it cannot be known which part of it is secret.
func URL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" && (u.Opaque != "" || strings.Contains(raw, "@")) {
		return "(not a URL)"
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	return u.String()
}

// aURL finds a URL in text, also where it is quoted as by %q.
var aURL = regexp.MustCompile(`[a-zA-Z][a-zA-Z0-9+.-]*://(?:[^\s"\\]|\\.)+`)

// Text returns text with each URL in it as [URL] returns it.
func Text(text string) string {
	if !strings.Contains(text, "://") {
		return text
	}
	return aURL.ReplaceAllStringFunc(text, func(raw string) string {
		end := len(strings.TrimRight(raw, ".,:;)>]'"))
		return URL(raw[:end]) + raw[end:]
	})
}

// Error returns err with the URLs in its text as [URL] returns them. What err wraps can still be found
// with errors.Is and errors.As.
func Error(err error) error {
	if err == nil {
		return nil
	}
	full := err.Error()
	text := full
	if e, ok := errors.AsType[*url.Error](err); ok { // its URL may contain what ends a URL in text
		text = strings.ReplaceAll(text, strconv.Quote(e.URL), strconv.Quote(URL(e.URL)))
	}
	if text = Text(text); text == full {
		return err
	}
	return &redacted{text, err}
}

type redacted struct {
	text string
	err  error
}

func (r *redacted) Error() string { return r.text }

// Unwrap returns the error with its full text.
func (r *redacted) Unwrap() error { return r.err }

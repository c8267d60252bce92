// Package origin decides from which web origins browsers may connect. The transport, the hub and the
// gateway share it, so that an origin is allowed by all of them or by none.
package origin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"unicode"
)

// Policy is a set of allowed origins. The zero value allows the requested host only. It is safe for
// concurrent use.
type Policy struct {
	everything bool
	patterns   []string // lower case
}

// Anything allows every origin.
var Anything = Policy{everything: true}

// New returns the policy of a list of patterns of [path.Match], on host[:port], or on
// scheme://host[:port] where the pattern contains "://". "*" alone allows every origin. It fails for a
// pattern that is malformed or that no origin can match.
func New(patterns []string) (Policy, error) {
	var p Policy
	for _, pattern := range patterns {
		if pattern == "*" {
			p.everything = true
			continue
		}
		if err := check(pattern); err != nil {
			return Policy{}, fmt.Errorf("origin pattern %q: %w", pattern, err)
		}
		p.patterns = append(p.patterns, strings.ToLower(pattern))
	}
	return p, nil
}

func check(pattern string) error {
	host := pattern
	if _, rest, ok := strings.Cut(pattern, "://"); ok {
		host = rest
	}
	switch {
	case host == "":
		return errors.New("it has no host")
	case strings.ContainsAny(host, "/#"):
		return errors.New("an origin ends with its host or port: leave out what follows")
	case strings.ContainsFunc(pattern, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		return errors.New("it contains white space")
	}
	_, err := path.Match(strings.ToLower(pattern), "")
	return err
}

// ErrNotAllowed is what the error of [Policy.Check] wraps.
var ErrNotAllowed = errors.New("origin not allowed")

// Check returns nil if the request has no Origin header, or one of the host that it asks for, or one
// that the policy allows; otherwise an error that wraps [ErrNotAllowed]. cross reports whether the
// origin is another host than the requested one.
//
// A port that is missing in the origin, in the Host header or in a pattern is the default of the
// origin's scheme.
func (p Policy) Check(r *http.Request) (cross bool, err error) {
	header := r.Header.Get("Origin")
	if header == "" {
		return false, nil
	}
	u, err := url.Parse(strings.ToLower(header))
	if err != nil {
		u = &url.URL{} // no host: only a policy that allows everything lets it pass
	}
	hosts := forms(u, u.Host)
	if u.Host != "" && hosts[0] == forms(u, strings.ToLower(r.Host))[0] {
		return false, nil
	}
	if p.everything || u.Host != "" && p.matches(u.Scheme, hosts) {
		return true, nil
	}
	return true, fmt.Errorf("%w: %q for host %q", ErrNotAllowed, header, r.Host)
}

func (p Policy) matches(scheme string, hosts [2]string) bool {
	for _, pattern := range p.patterns {
		for _, target := range hosts {
			if strings.Contains(pattern, "://") {
				target = scheme + "://" + target
			}
			if ok, err := path.Match(pattern, target); ok && err == nil { // New has checked the pattern
				return true
			}
		}
	}
	return false
}

// forms returns the host with its port in full, and as it is usually written: without a default port.
func forms(u *url.URL, host string) (out [2]string) {
	port := "80"
	if u.Scheme == "https" || u.Scheme == "wss" {
		port = "443"
	}
	bare := strings.TrimSuffix(host, ":"+port)
	if bare != host || !hasPort(host) {
		return [2]string{bare + ":" + port, bare}
	}
	return [2]string{host, host}
}

// hasPort reports whether a host has a port; the colons of an IPv6 address are in brackets.
func hasPort(host string) bool {
	return strings.LastIndexByte(host, ':') > strings.LastIndexByte(host, ']')
}

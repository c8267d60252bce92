package spoke

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/alkdev/hubspoke/internal/redact"
	"github.com/alkdev/hubspoke/transport"
)

// urls decides where the next dial goes: to the spoke's own URLs, in turn, and, while it keeps a session, to
// those that hubs have named for it (protocol section 8). It belongs to the goroutine of Run.
type urls struct {
	own  []string // those of New and Options.URLs, or those that Options.Discover returned last
	turn int      // the place in own of the next one
	last string   // the one that was dialed last
	left int      // how many are to be dialed until the round is complete
	// discovers reports whether Options.Discover is set. Then stale reports that the round is complete, and Discover is
	// called before the next dial of an own URL.
	discovers, stale bool
	// busy holds, by URL, until when its hub has asked not to be dialed.
	busy map[string]time.Time

	// While a session is kept:
	named   string // the URL that its hub has named; "" for none
	ownNext bool   // after a dial to named
	moved   string // the URL that another hub has named with 4007: it is dialed immediately
	moves   int    // how often that happened since the connection was lost
}

func newURLs(own []string, discovers bool) urls {
	return urls{own: own, left: len(own), discovers: discovers, stale: discovers}
}

// next returns the URL of the next dial, and whether a hub has named it. Offers reports whether a session is offered.
func (l *loop) next(ctx context.Context, offers bool) (target string, named bool, err error) {
	u := &l.urls
	if !offers {
		u.forget()
	}
	if u.moved != "" {
		target, u.moved = u.moved, ""
		return target, true, nil
	}
	if u.namedNext(0) {
		u.ownNext = true
		return u.named, true, nil
	}
	u.ownNext = false
	if u.stale {
		own, err := l.discover(ctx)
		if err != nil {
			u.renew(u.own) // the next dial goes to one that is known
			return "", false, err
		}
		u.renew(own)
		if wait := u.choose(0, 0); wait > 0 {
			return "", false, fmt.Errorf("all hubs have asked not to be dialed (Retry-After), the first of them for another %v", wait)
		}
	}
	u.last = u.own[u.turn]
	return u.last, false, nil
}

// renew begins a round with these URLs, after the one that was dialed last.
func (u *urls) renew(own []string) {
	u.own, u.left, u.stale = own, len(own), len(own) == 0
	u.turn = 0
	if i := slices.Index(own, u.last); i >= 0 {
		u.turn = (i + 1) % len(own)
	}
	maps.DeleteFunc(u.busy, func(_ string, until time.Time) bool { return time.Until(until) <= 0 })
}

// advance chooses the next of the spoke's own URLs. It returns true when all have been dialed.
func (u *urls) advance() (round bool) {
	u.turn = (u.turn + 1) % len(u.own)
	u.left--
	if u.left > 0 {
		return false
	}
	u.left, u.stale = len(u.own), u.discovers
	return true
}

// hold notes that the hub at url asked not to be dialed for d.
func (u *urls) hold(url string, d time.Duration) {
	if u.busy == nil {
		u.busy = make(map[string]time.Time)
	}
	u.busy[url] = time.Now().Add(d)
}

// follow notes where a hub has answered that the session is. It returns false if the spoke must not go there.
func (u *urls) follow(a *attempt) bool {
	elsewhere, moved := a.elsewhere()
	if !moved {
		return true
	}
	u.moves++
	if u.moves > 1 || !mayFollow(a.url, elsewhere) {
		return false
	}
	u.moved = elsewhere
	return true
}

// ended takes how an attempt ended and whether a session is kept, and moves the turn. It returns true if the bound
// of the delays may double: all URLs have been dialed since, or the turn has not moved.
func (u *urls) ended(a *attempt, kept bool) (round bool) {
	own := a.url != "" && !a.named
	advance := own && (!kept || !a.answered && u.named != "" || isConnectionRefused(a.err)) || a.answered && !kept
	if !kept {
		u.forget()
	}
	return !advance || u.advance()
}

// choose returns the delay until the next dial, which is delay or more, and chooses the spoke's own URL for it
// unless it goes to one that a hub has named. It passes over URLs whose hubs ask for more than delay and more than
// window, as long as there is another; if there is none, it takes the one that is free first.
func (u *urls) choose(delay, window time.Duration) time.Duration {
	switch {
	case u.moved != "":
		return 0
	case u.stale || u.namedNext(delay): // it does not go to one of these
		return delay
	}
	first, least := u.turn, time.Duration(-1)
	for i := range u.own {
		n := (u.turn + i) % len(u.own)
		wait := time.Until(u.busy[u.own[n]])
		if wait <= max(delay, window) {
			first, least = n, wait
			break
		}
		if least < 0 || wait < least {
			first, least = n, wait
		}
	}
	u.turn = first
	return max(delay, least)
}

// namedNext reports whether the dial after delay goes to the URL that the hub of the session has named.
func (u *urls) namedNext(delay time.Duration) bool {
	return u.named != "" && !u.ownNext && time.Until(u.busy[u.named]) <= delay
}

// forget drops the URLs that hubs have named, once there is no session to offer there.
func (u *urls) forget() { u.named, u.ownNext, u.moved, u.moves = "", false, "", 0 }

// registered notes the URL that the answer to a registration names. Dialed is where the answer came from.
func (u *urls) registered(dialed, named string) {
	u.forget()
	u.left = 0 // the round is complete when this hub is left
	if mayFollow(dialed, named) {
		u.named = named
	}
}

// mayFollow reports whether a URL that the hub at dialed has named may be dialed: credentials never go
// from an encrypted connection to one that is not.
func mayFollow(dialed, named string) bool {
	if transport.ValidURL(named) != nil { // "" is none either
		return false
	}
	return encrypted(named) || !encrypted(dialed)
}

func encrypted(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && (strings.EqualFold(u.Scheme, "wss") || strings.EqualFold(u.Scheme, "https"))
}

// discover returns the URLs of Options.Discover that can be dialed.
func (s *Spoke) discover(ctx context.Context) ([]string, error) {
	found, err := runOption(ctx, s, "Options.Discover", s.opts.Discover)
	if err != nil {
		return nil, fmt.Errorf("Options.Discover: %w", redact.Error(err))
	}
	valid := make([]string, 0, len(found))
	for _, u := range found {
		if bad := s.opts.checkURL(u); bad != nil {
			s.log.Warn().Err(bad).Msg("Options.Discover returned a URL that cannot be dialed")
			err = bad
			continue
		}
		valid = append(valid, u)
	}
	switch {
	case len(valid) > 0:
		return valid, nil
	case err != nil:
		return nil, fmt.Errorf("Options.Discover: %w", err)
	}
	return nil, errors.New("Options.Discover returned no URL")
}

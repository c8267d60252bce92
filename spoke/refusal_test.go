package spoke_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// answered is what a server does with a dial: a status, or a close code and reason before the registration.
type answered struct {
	status  int
	refused string // the header Hubspoke-Refused
	code    transport.CloseCode
	reason  string
}

func (a answered) dial() (transport.Conn, error) {
	if a.status != 0 {
		return nil, &transport.HandshakeError{Status: a.status, Refused: a.refused}
	}
	near, far := transport.Pipe(nil)
	far.Close(a.code, a.reason)
	go func() {
		for {
			if _, err := far.Read(); err != nil {
				return
			}
		}
	}()
	return near, nil
}

// tokenDoor admits a configurable set of tokens, as a hub does.
type tokenDoor struct {
	*hubtest.Wire
	refusal answered

	mu      sync.Mutex // guards the fields below
	good    map[string]bool
	offered []string
}

func (d *tokenDoor) Dial(ctx context.Context, url string, header http.Header) (transport.Conn, error) {
	token := strings.TrimPrefix(header.Get("Authorization"), "Bearer ")
	d.mu.Lock()
	d.offered = append(d.offered, token)
	good := d.good[token]
	d.mu.Unlock()
	if !good {
		return d.refusal.dial()
	}
	return d.Wire.Dial(ctx, url, header)
}

func (d *tokenDoor) admit(tokens ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.good = map[string]bool{}
	for _, t := range tokens {
		d.good[t] = true
	}
}

func (d *tokenDoor) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.offered)
}

// byBoth has the two ways in which a hub refuses credentials.
var byBoth = map[string]answered{
	"status": {status: 401, refused: transport.RefusedUnauthenticated},
	"close":  {code: transport.CloseNotAuthenticated, reason: "unauthenticated: the credentials are missing or wrong"},
}

// What a hub's own refusal, and a 401 or 403 of something on the way, do to a spoke with one static token.
func TestWhoRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		answered
		final bool
		dials int
	}{
		"hub: unauthenticated":     {answered{status: 401, refused: "unauthenticated"}, true, 1},
		"hub: forbidden":           {answered{status: 403, refused: "forbidden"}, true, 1},
		"a front: 401":             {answered{status: 401}, false, 0},
		"a front: 403":             {answered{status: 403}, false, 0},
		"a front: 404":             {answered{status: 404}, false, 0},
		"a database is down: 503":  {answered{status: 503}, false, 0},
		"4500 unauthenticated":     {answered{code: 4500, reason: "unauthenticated"}, true, 1},
		"4500 forbidden":           {answered{code: 4500, reason: "forbidden: not this one"}, true, 1},
		"4500 origin":              {answered{code: 4500, reason: "origin not allowed"}, true, 1},
		"4500 without a reason":    {answered{code: 4500}, true, 1},
		"4500 with another reason": {answered{code: 4500, reason: "go away"}, true, 1},
		"4501":                     {answered{code: 4501}, true, 1},
		"4999":                     {answered{code: 4999}, true, 1},
		"5000":                     {answered{code: 1013}, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				net := hubtest.New(t, nil)
				d := &tokenDoor{Wire: net.Dialer(nil), refusal: c.answered}
				s := net.Start("a", &spoke.Options{Dialer: d, Token: spoke.StaticToken("wrong")}, nil)
				later(2 * time.Minute)
				if stopped := s.State() == spoke.Stopped; stopped != c.final {
					t.Fatalf("stopped: %v, after %d dials: %v", stopped, len(d.all()), s.LastError())
				}
				if !c.final {
					if len(d.all()) < 5 {
						t.Errorf("%d dials in two minutes", len(d.all()))
					}
					d.admit("wrong")
					if err := s.Ready(t.Context()); err != nil {
						t.Error(err)
					}
					return
				}
				err := s.Wait()
				he, isStatus := errors.AsType[*transport.HandshakeError](err)
				ce, isClose := errors.AsType[*transport.CloseError](err)
				if isStatus && he.Status != c.status || isClose && ce.Code != c.code || !isStatus && !isClose || len(d.all()) != c.dials {
					t.Errorf("Run: %v after %d dials", err, len(d.all()))
				}
			})
		})
	}
}

// A token function that has another token gets it tried; three different ones over 30 s are enough.
func TestRefusedTokens(t *testing.T) {
	for name, refusal := range byBoth {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				net := hubtest.New(t, nil)
				start := time.Now()
				n := 0
				d := &tokenDoor{Wire: net.Dialer(nil), refusal: refusal}
				s := net.Start("a", &spoke.Options{Dialer: d, Token: func(context.Context) (string, error) {
					n++
					return fmt.Sprint("token-", n), nil
				}}, nil)
				err := s.Wait()
				if took := time.Since(start); err == nil || took < 30*time.Second || took > 2*time.Minute || len(d.all()) < 3 {
					t.Errorf("%v after %v and %d dials", err, took, len(d.all()))
				}
				d.admit("good")
				n = -1
				again := net.Start("b", &spoke.Options{Dialer: d, Token: func(context.Context) (string, error) {
					n++
					return []string{"bad", "worse", "good"}[n], nil
				}}, nil)
				if err := again.Ready(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// After its token has expired, a source that lags behind the hub's clock may return the old one for a
// while: the spoke keeps its session and reconnects. A token that was revoked is final after 30 s.
func TestTokenSourceLags(t *testing.T) {
	for name, refusal := range byBoth {
		for _, lag := range []time.Duration{1500 * time.Millisecond, time.Hour} {
			t.Run(fmt.Sprint(name, " ", lag), func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					net := hubtest.New(t, nil)
					d := &tokenDoor{Wire: net.Dialer(nil), refusal: refusal}
					d.admit("old")
					expired := time.Now().Add(time.Minute)
					s := net.Spoke("a", &spoke.Options{Dialer: d, Token: func(context.Context) (string, error) {
						if time.Now().After(expired.Add(lag)) {
							return "new", nil
						}
						return "old", nil
					}}, nil)
					later(time.Until(expired))
					d.admit("new")
					d.Cut()
					if lag > time.Minute {
						if err := s.Wait(); err == nil || time.Since(expired) < 30*time.Second || time.Since(expired) > time.Minute {
							t.Errorf("%v after %v", err, time.Since(expired))
						}
						return
					}
					later(10 * time.Second)
					if s.State() != spoke.Registered || s.Stats().Resumed != 1 {
						t.Errorf("%v, %+v: %v", s.State(), s.Stats(), s.LastError())
					}
				})
			})
		}
	}
}

// A front that answers 401 or 403 for a while does not cost the session.
func TestFrontRefusesForAWhile(t *testing.T) {
	for _, status := range []int{401, 403} {
		bubble.Test(t, func(t *testing.T) {
			net := hubtest.New(t, nil)
			s := net.Spoke("a", &spoke.Options{Token: spoke.StaticToken("x")}, nil)
			s.Wire.Refuse(&transport.HandshakeError{Status: status})
			s.Wire.Cut()
			later(500 * time.Millisecond)
			s.Wire.Refuse(nil)
			if err := s.Ready(t.Context()); err != nil || s.Stats().Resumed != 1 {
				t.Errorf("%v, %+v", err, s.Stats())
			}
		})
	}
}

// A hub that asks to be left alone does not keep the spoke from another, nor for longer than the option allows.
func TestRetryAfterIsOfOneURL(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		wire := net.Dialer(nil)
		busy := &busyHub{Wire: wire, url: "ws://busy.test/", after: 24 * time.Hour}
		s, err := spoke.New("ws://busy.test/", &spoke.Options{ID: "a", Dialer: busy, URLs: []string{hubtest.URL}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = s.Run(ctx) }()
		defer func() { stop(); <-done }()
		start := time.Now()
		if err := s.Ready(t.Context()); err != nil || time.Since(start) > time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		wire.Refuse(errors.New("no route"))
		wire.Cut()
		later(15 * time.Minute)
		if n := busy.count(); n < 5 || n > 9 {
			t.Errorf("the busy hub was dialed %d times in 15 min, want one in 2 min", n)
		}
	})
}

type busyHub struct {
	*hubtest.Wire
	url   string
	after time.Duration
	mu    sync.Mutex
	n     int // guarded by mu
}

func (b *busyHub) Dial(ctx context.Context, url string, header http.Header) (transport.Conn, error) {
	if url != b.url {
		return b.Wire.Dial(ctx, url, header)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.n++
	return nil, &transport.HandshakeError{Status: http.StatusServiceUnavailable, RetryAfter: b.after}
}

func (b *busyHub) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n
}

// A hub that has the session and is busy for a moment is waited for.
func TestRetryAfterOfTheHubWithTheSession(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		wire := net.Dialer(nil)
		s := net.Spoke("a", &spoke.Options{Dialer: wire, URLs: []string{"ws://other.test/"}}, nil)
		wire.Refuse(&transport.HandshakeError{Status: http.StatusServiceUnavailable, RetryAfter: 4 * time.Second})
		wire.Cut()
		later(time.Second)
		wire.Refuse(nil)
		if err := s.Ready(t.Context()); err != nil || s.Stats().Resumed != 1 {
			t.Errorf("%v, %+v", err, s.Stats())
		}
		if url, _ := wire.Last(); url != hubtest.URL {
			t.Errorf("dialed %s", url)
		}
	})
}

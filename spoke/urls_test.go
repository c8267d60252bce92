package spoke_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// directory is a service directory that a test changes.
type directory struct {
	mu    sync.Mutex // guards the fields below
	urls  []string
	err   error
	panic bool
	exit  bool // runtime.Goexit
	hang  bool
	asked int
	left  []time.Duration // how long each question might take
}

func (d *directory) find(ctx context.Context) ([]string, error) {
	d.mu.Lock()
	d.asked++
	if deadline, ok := ctx.Deadline(); ok {
		d.left = append(d.left, time.Until(deadline))
	}
	urls, err, panics, hangs, exits := slices.Clone(d.urls), d.err, d.panic, d.hang, d.exit
	d.mu.Unlock()
	switch {
	case hangs:
		<-ctx.Done()
		return nil, ctx.Err()
	case exits:
		runtime.Goexit()
	case panics:
		panic("the directory has a bug")
	}
	return urls, err
}

func (d *directory) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

func (d *directory) questions() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

// found starts a spoke that finds its hubs in a directory, behind a middle.
func found(t *testing.T, m *middle, d *directory, o spoke.Options) *spoke.Spoke {
	t.Helper()
	o.ID, o.Dialer, o.Discover = "a", m, d.find
	return started(t, "", o)
}

// started starts a spoke for the time of the test.
func started(t *testing.T, url string, o spoke.Options) *spoke.Spoke {
	t.Helper()
	s, err := spoke.New(url, &o)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() { defer close(ran); _ = s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ran })
	return s
}

const a, b, c, named = "ws://a.test/", "ws://b.test/", "ws://c.test/", "ws://named.test/"

func wantDials(t *testing.T, m *middle, want ...string) {
	t.Helper()
	if got := m.dials(); len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		t.Errorf("dialed %v, want first %v", got, want)
	}
}

// Discover is called before the first dial and after each round; the order of dials continues after the URL that was
// dialed last.
func TestDiscover(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		m := newMiddle(t)
		d := &directory{urls: []string{a, b}}
		s := found(t, m, d, spoke.Options{BackoffMax: time.Second})
		later(5 * time.Millisecond)
		if n := d.questions(); n != 1 {
			t.Errorf("asked %d times before the first dials", n)
		}
		d.set(func() { d.urls = []string{a, b, c} })
		later(time.Minute)
		wantDials(t, m, a, b, c, a, b, c)
		dials, asked := len(m.dials()), d.questions()
		if want := 1 + (dials-2+2)/3; asked != want {
			t.Errorf("asked %d times for %d dials, want %d", asked, dials, want)
		}
		d.set(func() { d.urls = []string{"ws://new.test/"} })
		m.hub("ws://new.test/", hub.Options{})
		must(t, s.Ready(t.Context()))
	})
}

// The context of Discover ends with the time for the dial.
func TestDiscoverIsTimed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		m := newMiddle(t)
		d := &directory{hang: true}
		s := found(t, m, d, spoke.Options{HandshakeTimeout: 3 * time.Second, BackoffMax: time.Millisecond})
		later(30 * time.Second)
		if n := d.questions(); n != 10 {
			t.Errorf("asked %d times in 30 s", n)
		}
		if slices.Min(d.left) != 3*time.Second || slices.Max(d.left) != 3*time.Second {
			t.Errorf("time left: %v", d.left)
		}
		if err := s.LastError(); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "Options.Discover") || s.Stats().Attempts != 0 {
			t.Errorf("LastError: %v after %d dials", err, s.Stats().Attempts)
		}
	})
}

// An answer of Discover that names no hub is a failed dial. The spoke reports it, and dials the URLs that it knows.
func TestDiscoverFails(t *testing.T) {
	for name, c := range map[string]struct {
		fail func(*directory)
		want string
	}{
		"error":       {func(d *directory) { d.err = errors.New("ask https://user:secret@dir.test again") }, "Options.Discover: ask"},
		"panic":       {func(d *directory) { d.panic = true }, "Options.Discover: the function panicked: the directory has a bug"},
		"Goexit":      {func(d *directory) { d.exit = true }, "Options.Discover: the function called runtime.Goexit"},
		"nothing":     {func(d *directory) { d.urls = nil }, "Options.Discover returned no URL"},
		"nothing use": {func(d *directory) { d.urls = []string{"ftp://a.test"} }, `URL "ftp://a.test": the scheme must be`},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				m := newMiddle(t)
				d := &directory{urls: []string{a, b}}
				d.set(func() { c.fail(d) })
				s := found(t, m, d, spoke.Options{BackoffMax: time.Second})
				later(10 * time.Second)
				check := func(when string) {
					t.Helper()
					if err := s.LastError(); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
						t.Errorf("LastError %s: %v, want %q", when, err, c.want)
					}
				}
				check("at the start")
				if n := d.questions(); n < 10 || len(m.dials()) != 0 || s.State() == spoke.Stopped {
					t.Errorf("asked %d times, dialed %v, %v", n, m.dials(), s.State())
				}
				d.set(func() { d.urls, d.err, d.panic, d.exit = []string{a, b}, nil, false, false })
				later(time.Second)
				d.set(func() { c.fail(d) })
				later(10 * time.Second)
				wantDials(t, m, a, b, a, b, a, b)
				m.hub(b, hub.Options{})
				must(t, s.Ready(t.Context()))
				if !slices.Contains([]string{a, b}, m.dials()[len(m.dials())-1]) {
					t.Errorf("dialed %v", m.dials())
				}
			})
		})
	}
}

// URLs that cannot be dialed are logged, without their credentials, and left out.
func TestDiscoverSkipsBadURLs(t *testing.T) {
	var log strings.Builder
	logger := zerolog.New(zerolog.SyncWriter(&log))
	bubble.Test(t, func(t *testing.T) {
		m := newMiddle(t)
		m.hub(a, hub.Options{})
		d := &directory{urls: []string{"", "a.test", "ws://user:secret@b.test/", a}}
		s := found(t, m, d, spoke.Options{Logger: &logger, Token: spoke.StaticToken("x")})
		must(t, s.Ready(t.Context()))
		wantDials(t, m, a)
	})
	if got := log.String(); strings.Count(got, "cannot be dialed") != 3 || strings.Contains(got, "secret") || !strings.Contains(got, "user info") {
		t.Errorf("logged: %s", got)
	}
}

// While the session of a lost connection is kept its hub is dialed, and Discover is not called. Then it is, and the dials begin after
// the URL that was dialed last.
func TestDiscoverAfterALoss(t *testing.T) {
	for name, noSession := range map[string]bool{"kept": false, "no session": true} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				m := newMiddle(t)
				m.hub(a, hub.Options{})
				d := &directory{urls: []string{a, b, c}}
				s := found(t, m, d, spoke.Options{NoSession: noSession, BackoffMax: time.Second})
				must(t, s.Ready(t.Context()))
				later(time.Minute)
				if n := d.questions(); n != 1 {
					t.Errorf("asked %d times while registered", n)
				}
				m.fail(a, errors.New("no route"))
				d.set(func() { d.urls = []string{b, a, c} })
				m.cut()
				later(10 * time.Second)
				if n := d.questions(); (n == 1) == noSession {
					t.Errorf("asked %d times in 10 s", n)
				}
				if !noSession && slices.ContainsFunc(m.dials(), func(url string) bool { return url != a }) {
					t.Errorf("dialed %v", m.dials())
				}
				later(30 * time.Second)
				dials := m.dials()
				i := slices.Index(dials, b)
				if i < 1 || i+3 > len(dials) || !slices.Equal(dials[i-1:i+3], []string{c, b, a, c}) {
					t.Errorf("dialed %v", dials)
				}
			})
		})
	}
}

// A hub that asks to be left alone is left alone, also if Discover names no other.
func TestDiscoverWithRetryAfter(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		m := newMiddle(t)
		m.fail(a, &transport.HandshakeError{Status: http.StatusServiceUnavailable, RetryAfter: time.Minute})
		d := &directory{urls: []string{a}}
		s := found(t, m, d, spoke.Options{BackoffMax: time.Second})
		later(59 * time.Second)
		if n := len(m.dials()); n != 1 || !strings.Contains(s.LastError().Error(), "Retry-After") {
			t.Errorf("%d dials in 59 s: %v", n, s.LastError())
		}
		later(3 * time.Second)
		if n := len(m.dials()); n != 2 {
			t.Errorf("%d dials after the minute", n)
		}
		m.hub(b, hub.Options{})
		d.set(func() { d.urls = []string{a, b} })
		later(61 * time.Second)
		if s.State() != spoke.Registered {
			t.Errorf("%v, dialed %v", s.State(), m.dials())
		}
	})
}

func TestDiscoverExcludesURLs(t *testing.T) {
	find := func(context.Context) ([]string, error) { return nil, nil }
	for name, c := range map[string]struct {
		url string
		o   spoke.Options
		ok  bool
	}{
		"alone":    {"", spoke.Options{Discover: find}, true},
		"and URL":  {a, spoke.Options{Discover: find}, false},
		"and URLs": {"", spoke.Options{Discover: find, URLs: []string{a}}, false},
		"none":     {"", spoke.Options{}, false},
		"URLs":     {"", spoke.Options{URLs: []string{a}}, false},
	} {
		_, err := spoke.New(c.url, &c.o)
		if (err == nil) != c.ok || !c.ok && !errors.Is(err, spoke.ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The bound of the delays doubles when all URLs have failed, not with each of them.
func TestBackoffGrowsByRounds(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		d := &dials{Wire: net.Dialer(nil), fail: errors.New("no route")}
		net.Start("a", &spoke.Options{Dialer: d, URLs: []string{b, c}}, nil)
		later(10 * time.Minute)
		bound, long := 200*time.Millisecond, 0
		for i, got := range d.delays() {
			if got > bound {
				t.Errorf("delay %d is %v, over %v", i, got, bound)
			}
			if got > 10*time.Second {
				long++
			}
			if i%3 == 2 {
				bound = min(2*bound, 20*time.Second)
			}
		}
		if long == 0 {
			t.Errorf("%v", d.delays())
		}
	})
}

// After the loss of a registered connection all other URLs are dialed before the first one again, also if the hub names a URL of its own.
func TestNextURLAfterADrain(t *testing.T) {
	for _, named := range []string{"", "ws://named.test/"} {
		t.Run(fmt.Sprint("named ", named), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				m := newMiddle(t)
				h := m.hub(own, hub.Options{URL: named, DrainSpread: time.Millisecond})
				m.spoke("a", spoke.Options{URLs: []string{b}}, nil)
				must(t, h.Shutdown(t.Context()))
				later(time.Second)
				wantDials(t, m, own, b)
			})
		})
	}
}

// When the window of a session expires, the delays begin again: they were those of its hub.
func TestBackoffRestartsAfterTheWindow(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		m := newMiddle(t)
		m.hub(own, hub.Options{})
		m.spoke("a", spoke.Options{URLs: []string{b}}, nil)
		m.fail(own, errors.New("no route"))
		m.cut()
		later(15 * time.Second)
		before := len(m.dials())
		later(12 * time.Second)
		if n := len(m.dials()) - before; n < 5 {
			t.Errorf("%d dials in 12 s after the window", n)
		}
	})
}

// hanging is a middle behind which dials of one URL are not answered.
type hanging struct {
	*middle
	url string
}

func (h hanging) Dial(ctx context.Context, url string, header http.Header) (transport.Conn, error) {
	if url == h.url {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return h.middle.Dial(ctx, url, header)
}

// A named URL that does not answer leaves the spoke's own URL its turn within the window.
func TestNamedURLThatHangs(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		m := newMiddle(t)
		m.hub(own, hub.Options{URL: "ws://named.test/"})
		s, err := spoke.New(own, &spoke.Options{ID: "a", Dialer: hanging{m, "ws://named.test/"}, HandshakeTimeout: time.Hour})
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- s.Run(ctx) }()
		must(t, s.Ready(t.Context()))
		m.cut()
		later(14 * time.Second)
		if st := s.Stats(); st.Resumed != 1 {
			t.Errorf("%+v", st)
		}
		cancel()
		<-ran
	})
}

// While a session is kept, no delay is longer than a third of its window.
func TestDelaysWithinTheWindow(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		m := newMiddle(t)
		m.hub(own, hub.Options{})
		s, _ := m.spoke("a", spoke.Options{BackoffMin: 10 * time.Hour}, nil)
		for i := range uint64(5) {
			m.cut()
			later(5*time.Second + time.Millisecond)
			if st := s.Stats(); st.Resumed != i+1 {
				t.Errorf("%+v after %d losses", st, i+1)
			}
		}
	})
}

// After the loss of a connection that was made at a URL that a hub has named, Discover is called and the next of the spoke's own
// URLs is dialed, as after any other loss.
func TestNextURLAfterANamedOne(t *testing.T) {
	for _, discovers := range []bool{false, true} {
		t.Run(fmt.Sprint("discovers ", discovers), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				m := newMiddle(t)
				h := m.hub(a, hub.Options{URL: named, DrainSpread: time.Millisecond})
				m.route(named, h)
				d := &directory{urls: []string{a, b}}
				var s *spoke.Spoke
				if discovers {
					s = found(t, m, d, spoke.Options{})
				} else {
					s = started(t, a, spoke.Options{ID: "a", Dialer: m, URLs: []string{b}})
				}
				must(t, s.Ready(t.Context()))
				m.cut()
				later(time.Second)
				if st := s.Stats(); st.Resumed != 1 {
					t.Fatalf("%+v", st)
				}
				must(t, h.Shutdown(t.Context()))
				later(time.Second)
				wantDials(t, m, a, named, b)
				if n := d.questions(); discovers && n < 2 {
					t.Errorf("asked %d times", n)
				}
			})
		})
	}
}

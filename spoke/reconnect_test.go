package spoke_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// later lets fake time pass.
func later(d time.Duration) { <-time.After(d) }

func echo(r *call.Registry) {
	registered(call.Handle(r, call.Operation{Name: "test.echo"}, func(_ context.Context, in string) (string, error) { return in, nil }))
}

// dials notes when a wire was dialled, and what it then does.
type dials struct {
	*hubtest.Wire
	mu   sync.Mutex // guards the fields below
	at   []time.Time
	urls []string
	fail error
}

func (d *dials) Dial(ctx context.Context, url string, header http.Header) (transport.Conn, error) {
	d.mu.Lock()
	d.at = append(d.at, time.Now())
	d.urls = append(d.urls, url)
	fail := d.fail
	d.mu.Unlock()
	if fail != nil {
		return nil, fail
	}
	return d.Wire.Dial(ctx, url, header)
}

func (d *dials) set(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = err
}

func (d *dials) count() int { return len(d.dialled()) }

func (d *dials) dialled() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.urls)
}

func (d *dials) delays() (out []time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := 1; i < len(d.at); i++ {
		out = append(out, d.at[i].Sub(d.at[i-1]))
	}
	return out
}

func lastOf(all []time.Duration, n int) []time.Duration { return all[len(all)-n:] }

func TestBackoffDoublesWithFullJitter(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		d := &dials{Wire: net.Dialer(nil), fail: errors.New("no route")}
		net.Start("a", &spoke.Options{Dialer: d}, nil)
		later(10 * time.Minute)
		bound, long := 200*time.Millisecond, 0
		for i, got := range d.delays() {
			if got > bound {
				t.Errorf("delay %d is %v, over %v", i, got, bound)
			}
			if got > 10*time.Second {
				long++
			}
			bound = min(2*bound, 20*time.Second)
		}
		if long == 0 || d.count() < 30 {
			t.Errorf("%d dials, %d delays over 10 s", d.count(), long)
		}
	})
}

func TestBackoffIsResetAfterTenSecondsRegistered(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		d := &dials{Wire: net.Dialer(nil), fail: errors.New("no route")}
		s := net.Start("a", &spoke.Options{Dialer: d}, nil)
		later(5 * time.Minute)
		d.set(nil)
		for range 30 { // each registered for less than 10 s: the delays stay long
			if err := s.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			later(9 * time.Second)
			d.Cut()
			synctest.Wait()
		}
		if longest := slices.Max(lastOf(d.delays(), 20)) - 9*time.Second; longest < 5*time.Second {
			t.Errorf("the longest delay is %v: it was reset too early", longest)
		}
		for range 30 {
			if err := s.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			later(10 * time.Second)
			d.Cut()
			synctest.Wait()
		}
		for _, got := range lastOf(d.delays(), 20) {
			if got > 10*time.Second+200*time.Millisecond {
				t.Errorf("a delay of %v after 10 s registered", got-10*time.Second)
			}
		}
	})
}

func TestRetryAfterIsALowerBound(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		d := &dials{Wire: net.Dialer(nil), fail: &transport.HandshakeError{Status: 503, RetryAfter: time.Minute}}
		net.Start("a", &spoke.Options{Dialer: d}, nil)
		later(10 * time.Minute)
		if d.count() < 5 || slices.Min(d.delays()) < time.Minute {
			t.Errorf("delays %v", d.delays())
		}
	})
}

func TestDrainSaysWhenToComeBack(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &hub.Options{DrainSpread: time.Hour})
		var took []time.Duration
		ds := make([]*dials, 10)
		for i := range ds {
			ds[i] = &dials{Wire: net.Dialer(nil)}
			net.Start("", &spoke.Options{Dialer: ds[i], BackoffMin: time.Minute, BackoffMax: time.Minute}, nil)
		}
		synctest.Wait()
		if err := net.Hub.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		later(65 * time.Minute)
		for _, d := range ds {
			took = append(took, d.delays()[0])
		}
		slices.Sort(took)
		if took[len(took)-1] > time.Hour+2*time.Minute || took[len(took)-1]-took[0] < 10*time.Minute {
			t.Errorf("they come back after %v: not spread over the hour", took)
		}
	})
}

func TestURLsAreTriedInTurn(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		d := &dials{Wire: net.Dialer(nil), fail: errors.New("no route")}
		net.Start("a", &spoke.Options{Dialer: d, URLs: []string{"ws://two.test/", "ws://three.test/"}}, nil)
		later(time.Minute)
		want := []string{hubtest.URL, "ws://two.test/", "ws://three.test/", hubtest.URL, "ws://two.test/"}
		if got := d.dialled(); len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
			t.Errorf("dialled %v", got)
		}
	})
}

func TestTokenIsAskedForAtEachDial(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		tokens := []string{"one", "two", "three"}
		wire := net.Dialer(nil)
		s := net.Spoke("a", &spoke.Options{Dialer: wire, Token: func(context.Context) (string, error) {
			if len(tokens) == 2 {
				tokens = tokens[1:]
				return "", errors.New("the token service is away")
			}
			token := tokens[0]
			tokens = tokens[1:]
			return token, nil
		}}, nil)
		if err := s.Reconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, h := wire.Last(); h.Get("Authorization") != "Bearer three" || wire.Dials() != 2 || len(tokens) != 0 {
			t.Errorf("%q after %d dials", h.Get("Authorization"), wire.Dials())
		}
	})
}

// cutEverySecond cuts n connections of a spoke through a middle, each a second after it was made, and returns how long the
// spoke was away after each.
func cutEverySecond(m *middle, s *spoke.Spoke, n int, while func()) (delays []time.Duration) {
	for range n {
		while()
		later(time.Second)
		m.cut()
		synctest.Wait()
		lost := time.Now()
		_ = s.Ready(m.t.Context())
		delays = append(delays, time.Since(lost))
	}
	return delays
}

// On a network that cuts every second a session that advances is not held up by ever longer delays; one that does not
// advance is: since nothing is sent, or since the same frame breaks each connection.
func TestBackoffIsResetByProgress(t *testing.T) {
	for name, c := range map[string]struct {
		call, wall bool
		long       bool
	}{
		"calls are answered":                {call: true},
		"nothing is sent":                   {long: true},
		"an answer never passes":            {wall: true, long: true},
		"calls pass, but one answer before": {call: true, wall: true, long: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				m := newMiddle(t)
				h := m.hub(own, hub.Options{SessionWindow: time.Hour})
				s, _ := m.spoke("a", spoke.Options{}, func(r *call.Registry) {
					echo(r)
					registered(call.Handle(r, call.Operation{Name: "test.large"}, func(context.Context, int) (string, error) { return strings.Repeat("x", 10_000), nil }))
				})
				invoke := func(operation string) {
					_, _ = call.Invoke[string](t.Context(), h, operation, "x", call.Timeout(time.Hour))
				}
				if c.wall {
					m.mu.Lock()
					m.largest = 5_000
					m.mu.Unlock()
					go func() { _, _ = call.Invoke[string](t.Context(), h, "test.large", 1, call.Timeout(time.Hour)) }()
					later(time.Second)
				}
				delays := cutEverySecond(m, s, 40, func() {
					if c.call {
						go invoke("test.echo")
					}
				})
				longest := slices.Max(delays[20:])
				if (longest > 5*time.Second) != c.long || !c.long && longest > 400*time.Millisecond {
					t.Errorf("the longest delay is %v: %v", longest, delays)
				}
				if s.Stats().Resumed < 40 {
					t.Errorf("%+v", s.Stats())
				}
			})
		})
	}
}
